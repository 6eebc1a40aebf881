"""PyTorch computes what the exports compute, and samples by the same schedule."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from bench import ROOT  # noqa: E402
from bench.music.networks import Networks, load_networks  # noqa: E402
from bench.music.sets import PYTORCH, STEMS  # noqa: E402
from bench.music.torch_chain import chain_of, generate, vary  # noqa: E402
from optimize.truth.audio_metrics import snr_db  # noqa: E402
from training.networks.transformer import VampNet  # noqa: E402
from vampnet_models.architectures.synth import probe_audio  # noqa: E402
from vampnet_models.chain.builtin import builtin_models  # noqa: E402
from vampnet_models.chain.pipeline import Chain, encode, vamp  # noqa: E402
from vampnet_models.chain.tokens import SamplingOptions, periodic_mask, sample_all  # noqa: E402
from vampnet_models.family import VAMPNET  # noqa: E402
from vampnet_models.onnxfile.session import Session, open_session  # noqa: E402

MASK, FRAMES = VAMPNET.mask_token, 60
AUDIO = probe_audio(5)[: FRAMES * VAMPNET.hop_samples - 100]


@pytest.fixture(scope="module")
def networks(small_models: Path) -> Networks:
    return load_networks(small_models)


@pytest.fixture(scope="module")
def sessions(small_models: Path) -> dict[str, Session]:
    return {stem: open_session(small_models / f"{stem}.onnx") for stem in STEMS}


@pytest.fixture(scope="module")
def codes(sessions: dict[str, Session]) -> np.ndarray:
    return encode(sessions["codec_encoder"], AUDIO)


def logits_of(network: VampNet, session: Session, codes: np.ndarray) -> list[np.ndarray]:
    """Of both runtimes, `[predicted, frames, vocab]`, with half of the codes masked."""
    own = codes[:, : network.n_predicted + network.n_conditioning]
    mask = (np.random.default_rng(1).random(own.shape) < 0.5).astype(np.int64)
    mask[:, : network.n_conditioning] = 0
    with torch.inference_mode():
        found = network(torch.from_numpy(np.where(mask, MASK, own)))[0]
    split = found.numpy().reshape(network.vocab_size, own.shape[2], network.n_predicted)
    expected = session.run({"codes": own, "mask": mask}, ["logits"])["logits"][0]
    return [split.transpose(2, 1, 0), expected]


@pytest.mark.parametrize("name", ["coarse", "c2f"])
def test_transformers_give_the_logits_of_the_exports(
    networks: Networks, sessions: dict[str, Session], codes: np.ndarray, name: str
) -> None:
    found, expected = logits_of(getattr(networks, name), sessions[name], codes)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
    assert (found.argmax(-1) == expected.argmax(-1)).mean() > 0.999


def test_the_codec_gives_the_codes_and_the_sound_of_the_exports(
    networks: Networks, sessions: dict[str, Session], codes: np.ndarray
) -> None:
    found = networks.codec.encode(torch.from_numpy(AUDIO[None, None])).numpy()
    assert found.shape == codes.shape and (found == codes).mean() > 0.99
    heard = networks.codec.decode(torch.from_numpy(codes)).numpy()
    assert snr_db(sessions["codec_decoder"].run({"codes": codes})["audio"], heard) > 60


def test_a_row_of_zeros_stays_one(tmp_path: Path) -> None:
    """The trained codec has one: a gain of 0, whose direction a folded weight does not tell."""
    models = builtin_models(tmp_path)
    expected = encode(open_session(models / "codec_encoder.onnx"), AUDIO)
    found = load_networks(models).codec.encode(torch.from_numpy(AUDIO[None, None])).numpy()
    assert (found == expected).mean() > 0.99


@pytest.mark.parametrize(("given", "steps"), [(0, 12), (4, 2)])
def test_as_many_are_masked_at_each_step_as_in_the_other_sets(given: int, steps: int) -> None:
    codes = np.random.default_rng(2).integers(0, MASK, (1, given + 4, FRAMES))
    mask = periodic_mask(codes.shape, 7)
    options, seen = SamplingOptions(steps=steps), []

    def forward(shown: torch.Tensor) -> torch.Tensor:
        seen.append(int((shown == MASK).sum()))
        return torch.zeros(1, MASK, 4 * FRAMES)

    drawn = generate(forward, torch.from_numpy(codes), torch.from_numpy(mask), 4, options).numpy()
    flat = np.zeros((1, 4, FRAMES, MASK), np.float32)
    _, states = sample_all(lambda *_: flat, codes, mask, 4, options)
    assert seen == [int(state.mask.sum()) for state in states] and len(seen) == steps
    assert drawn.max() < MASK
    kept = mask == 0
    kept[:, :given] = True
    assert (drawn[kept] == codes[kept]).all() and (drawn != codes)[~kept].mean() > 0.9


def test_tokens_are_drawn_by_their_probabilities_each_at_its_place() -> None:
    """Codebook k holds k at even frames, 100 + k or at times 200 + k at odd ones."""
    logits = torch.full((MASK, FRAMES, 3), -30.0)
    for book in range(3):
        logits[book, ::2, book] = 0.0
        logits[100 + book, 1::2, book] = np.log(0.8)
        logits[200 + book, 1::2, book] = np.log(0.2)
    codes = torch.zeros(1, 3, FRAMES, dtype=torch.int64)
    torch.manual_seed(0)
    found = generate(
        lambda _: logits.flatten(1)[None], codes, codes + 1, 3, SamplingOptions(steps=1)
    )[0]
    for book in range(3):
        assert (found[book, ::2] == book).all()
        assert set(found[book, 1::2].tolist()) == {100 + book, 200 + book}
    assert 0.65 < float((found[:, 1::2] < 200).float().mean()) < 0.95


def test_unsure_positions_are_masked_again_first() -> None:
    """Without noise the positions that are left for the last step are the least probable ones."""
    sharp = torch.randn(MASK, FRAMES, 1, generator=torch.Generator().manual_seed(3))
    sharp[5, : FRAMES // 2] = 14.0
    shown: list[torch.Tensor] = []

    def forward(seen: torch.Tensor) -> torch.Tensor:
        shown.append(seen)
        return sharp.flatten(1)[None]

    codes = torch.zeros(1, 1, FRAMES, dtype=torch.int64)
    torch.manual_seed(0)
    generate(forward, codes, codes + 1, 1, SamplingOptions(steps=3, mask_temperature=0.0))
    left = (shown[-1] == MASK)[0, 0]
    assert left.sum() == FRAMES // 2 and not left[: FRAMES // 2].any()


def test_a_song_has_the_windows_of_the_other_sets(
    networks: Networks, sessions: dict[str, Session]
) -> None:
    """More than one window of each model, and both runtimes keep the same codes."""
    samples = np.resize(probe_audio(3), 11 * VAMPNET.sample_rate_hz)
    make_mask: Callable[[tuple[int, ...]], np.ndarray] = lambda s: periodic_mask(s, 7)  # noqa: E731
    chain = chain_of(networks, compiled=False)
    audio, codes = vary(
        chain, torch.from_numpy(samples), lambda shape: torch.from_numpy(make_mask(shape))
    )
    ours = Chain(*(sessions[s] for s in ("codec_encoder", "coarse", "c2f", "codec_decoder")))
    heard, expected = vamp(ours, samples, make_mask)
    assert audio.shape == heard.shape and codes.shape == expected.shape
    assert int(codes.max()) < MASK and all(stage.spent_s > 0 for stage in chain.stages)
    kept = make_mask(expected.shape) == 0
    kept[:, :, [0, 574, 575, -1]] = False  # of a window the first and last frame are kept too
    assert (codes.numpy() == expected)[kept].mean() > 0.99
    ends = codes[:, :4, [0, 574, 575, -1]].numpy()
    assert (ends == expected[:, :4, [0, 574, 575, -1]]).mean() > 0.99


def test_the_set_answers_with_the_seconds_of_each_part(small_models: Path) -> None:
    command = [sys.executable, "-m", "bench.music.child", PYTORCH, str(small_models), "none", "1"]
    done = subprocess.run(command, input="\n", capture_output=True, text=True, check=True, cwd=ROOT)
    row = json.loads(done.stdout)
    parts = [row[name] for name in ("sampler_s", *STEMS)]
    assert min(parts) > 0 and sum(parts) == pytest.approx(row["whole_s"])


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's compiler uses it
def test_a_compiled_transformer_gives_the_same_logits(
    networks: Networks, codes: np.ndarray
) -> None:
    own = torch.from_numpy(codes[:, :4])
    with torch.inference_mode():
        eager, compiled = (chain_of(networks, compiled=c).coarse(own) for c in (False, True))
    assert float((eager - compiled).abs().max()) < 1e-3 * float(eager.abs().max())
