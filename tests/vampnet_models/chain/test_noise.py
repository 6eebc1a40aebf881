import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vampnet_models.chain.noise import (
    MAX_SEED,
    Draw,
    exponential,
    least_token_noise,
    philox,
    remask_noise,
    token_noise,
)

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key (low word first), answer.
PUBLISHED = (
    ("00000000 00000000 00000000 00000000", 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        0xFFFFFFFF_FFFFFFFF,
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        0x299F31D0_A4093822,
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
)

PAGE = Path(__file__).parents[3] / "docs/reference/noise.md"


@pytest.mark.parametrize(("counter", "key", "answer"), PUBLISHED)
def test_the_generator_gives_the_published_words(counter: str, key: int, answer: str) -> None:
    words = philox([int(word, 16) for word in counter.split()], key)
    assert [f"{word:08x}" for word in words] == answer.split()


def places(n_codebooks: int = 3, n_frames: int = 20) -> tuple[np.ndarray, np.ndarray]:
    codebooks, frames = np.indices((n_codebooks, n_frames)).reshape(2, -1)
    return codebooks, frames


def all_noise(draw: Draw, codebooks: np.ndarray, frames: np.ndarray, n_tokens: int) -> np.ndarray:
    return token_noise(draw, codebooks[:, None], frames[:, None], np.arange(n_tokens))


def test_a_place_has_the_same_noise_whatever_is_drawn_beside_it() -> None:
    """So a row of a batch, a window and a block give what the whole gives."""
    draw, (codebooks, frames) = Draw(5, 0, 2), places()
    order = np.random.default_rng(0).permutation(len(frames))[:17]
    for noise in (
        lambda c, f: all_noise(draw, c, f, 1024),
        lambda c, f: least_token_noise(draw, c, f, 1024),
        lambda c, f: remask_noise(draw, c, f),
    ):
        np.testing.assert_array_equal(
            noise(codebooks, frames)[order], noise(codebooks[order], frames[order])
        )
    fewer = least_token_noise(draw, codebooks, frames, 10)
    assert fewer.shape == (60, 10)
    np.testing.assert_array_equal(fewer, least_token_noise(draw, codebooks, frames, 1024)[:, :10])


def test_the_bound_is_below_the_noise_and_close_to_it() -> None:
    """x = 1 - u: x <= -log(u) <= x / (1 - x), but for rounding to 32 bits."""
    draw, (codebooks, frames) = Draw(5, 0, 2), places()
    bound = least_token_noise(draw, codebooks, frames, 1021)
    assert bound.dtype == np.float32 and (bound > 0).all()
    noise, wide = all_noise(draw, codebooks, frames, 1021), bound.astype(np.float64)
    assert (wide * (1 - 2.0**-22) <= noise).all()
    small = wide < 0.5
    assert small.any() and (noise <= wide / (1 - wide) * (1 + 2.0**-21))[small].all()


def test_every_part_of_the_place_changes_the_noise() -> None:
    """Seeds that differ in any bit, stages, steps, codebooks, frames, tokens and both streams."""
    seeds = (0, 1, 2**31, 2**32, 2**32 + 1, 2**53 + 1, 2**63, MAX_SEED)
    draws = [Draw(seed, 0, 0) for seed in seeds] + [Draw(0, 1, 0), Draw(0, 0, 1), Draw(0, 1, 1)]
    found = [all_noise(draw, *places(), 8) for draw in draws]
    found += [remask_noise(draw, *places()) for draw in draws]
    values = np.concatenate([each.reshape(-1) for each in found])
    # Of 32 bits two in 5,940 meet by chance in 0.4 % of all seeds; here they do not.
    assert len(np.unique(values)) == len(values)


def test_no_word_gives_an_infinite_number() -> None:
    ends = exponential(np.array([0, 2**32 - 1], np.uint32))
    assert ends == pytest.approx([33 * np.log(2), 2.0**-33])


def test_the_noise_is_exponential() -> None:
    """Its mean, variance and distribution function, of 400,000 values."""
    drawn = all_noise(Draw(1, 0, 0), *places(4, 100), 1000).reshape(-1)
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert drawn.var() == pytest.approx(1, abs=0.02)
    shares = 1 - np.exp(-np.sort(drawn))
    assert np.abs(shares - np.linspace(0, 1, len(drawn))).max() < 1.63 / np.sqrt(len(drawn))


Row = tuple[list[int], int | None, int, float]


def vectors() -> list[Row]:
    """Of the page: seed, stage, step, codebook and frame; token, or None; word; noise."""
    rows = re.findall(
        r"^\| (\d+(?: \| \d+){4}) \| (\w+) \| `(\w+)` \| (\S+) \|$", PAGE.read_text(), re.M
    )
    return [
        (
            [int(x) for x in place.split(" | ")],
            None if token == "again" else int(token),
            int(word, 16),
            float(value),
        )
        for place, token, word, value in rows
    ]


def test_the_vectors_of_the_page_are_what_is_drawn() -> None:
    assert len(vectors()) == 8
    for (seed, stage, step, *place), token, word, value in vectors():
        draw, (codebook, frame) = Draw(seed, stage, step), (np.array([x]) for x in place)
        if token is None:
            noise = remask_noise(draw, codebook, frame)[0]
        else:
            noise = token_noise(draw, codebook, frame, np.array([token]))[0]
        assert noise == pytest.approx(value, abs=1e-12)
        assert noise == exponential(np.array([word], np.uint32))[0]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_script_of_the_page_gives_the_same_words(tmp_path: Path) -> None:
    script = PAGE.read_text().split("```js\n")[1].split("```")[0]
    for (seed, *place), token, _, _ in vectors():
        given = ", ".join(map(str, place if token is None else [*place, token]))
        script += f"found.push(word({seed}n, {given}));\n"
    script = (
        "const found = [];\n" + script + "console.log(JSON.stringify([found, found.map(noise)]));"
    )
    (tmp_path / "noise.js").write_text(script)
    done = subprocess.run(
        ["node", tmp_path / "noise.js"], capture_output=True, text=True, check=True
    )
    words, noises = json.loads(done.stdout)
    assert words == [word for _, _, word, _ in vectors()]
    assert noises == pytest.approx([value for *_, value in vectors()], abs=1e-11)
