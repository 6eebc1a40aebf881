from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optimize.precision.contract import NO_TRAITS, Traits
from optimize.precision.int8 import conv_exclusions
from optimize.precision.int8.conv import steps_of
from optimize.precision.int8.conv_exclusions import at_frame_rate, narrow_convs, noisy_convs, stored
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import (
    Array,
    check,
    convert,
    model,
    normal,
    ops,
    run,
    runtime_ops,
    snr_db,
)

SNAKES = """(float[b, 24, n] x) => (float[b, 24, n] y) {
 a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) h = Add(x, z)
 c = Conv <kernel_shape = [3], pads = [1, 1]> (h, w, bias)
 a2 = Mul(alpha, c) s2 = Sin(a2) q2 = Mul(s2, s2) z2 = Mul(inverse, q2) h2 = Add(c, z2)
 d = Conv <kernel_shape = [3], pads = [1, 1]> (h2, v, bias) y = Add(x, d) }"""
GAINS = np.where(np.arange(24) % 8 == 0, 20, 1).astype(np.float32).reshape(24, 1, 1)
ALPHA = np.abs(normal(1, 24, 1, seed=2)) + np.float32(0.2)
WEIGHTS = {
    "alpha": ALPHA,
    "inverse": 1 / ALPHA,
    "w": GAINS * normal(24, 24, 3) / 8,
    "v": normal(24, 24, 3, seed=1) / 8 / GAINS.reshape(1, 24, 1),
    "bias": normal(24) / 4,
}


DECODER = Traits(is_family=True, is_decoder=True)
ENCODER = Traits(is_family=True, decides_codes=True)


@pytest.fixture(autouse=True)
def few_channels_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """These graphs are smaller than any for which the integer kernels pay."""
    monkeypatch.setattr(conv_exclusions, "_NARROW_CHANNELS", 8)


@dataclass(frozen=True)
class Seen:
    low: float | Array
    high: float | Array


def ranges_of(feeds: dict[str, Array], per_channel: bool) -> dict[str, Seen]:
    names = ("h", "c", "h2", "d")
    extra = ", ".join(f"float[b, 24, n] {name}" for name in names)
    truth = run(model(SNAKES.replace("=> (", f"=> ({extra}, "), **WEIGHTS), feeds)
    axes = (0, 2) if per_channel else None
    return {name: Seen(truth[name].min(axes), truth[name].max(axes)) for name in names}


def converted(per_channel: bool) -> tuple[float, ir.Model]:
    feeds = {"x": normal(2, 24, 400)}
    made = model(SNAKES, **WEIGHTS)
    expected = run(made, feeds)["y"]
    assert set(StaticInt8().plan(made.graph, NO_TRAITS).ranges.values()) == {1}
    convert(made, StaticInt8(), ranges_of(feeds, per_channel))
    return snr_db(expected, run(made, feeds)["y"]), made


def test_steps_of_channels_beat_those_of_the_tensor() -> None:
    fine, _ = converted(per_channel=True)
    coarse, _ = converted(per_channel=False)
    assert fine > 34
    assert fine > coarse + 8


def test_snakes_lose_their_sines_and_convolutions_become_integer_kernels(tmp_path: Path) -> None:
    _, made = converted(per_channel=True)
    check(made)
    assert ops(made)["Sin"] == 0
    assert ops(made)["Floor"] == 2
    assert runtime_ops(made, tmp_path)["QLinearConv"] == 2


def test_steps_cover_every_channel_with_one_zero_point() -> None:
    low, high = np.array([-1.0, -0.1, 0.0]), np.array([3.0, 0.3, 0.0])
    found = steps_of(low, high)
    assert 0 < found.zero_point < 255
    assert (-found.sizes * found.zero_point <= low + 1e-6).all()
    assert (found.sizes * (255 - found.zero_point) >= high - 1e-6).all()
    assert found.sizes[0] / found.sizes[1] > 9
    assert found.sizes[2] > 0


def test_few_channels_and_the_latents_convolution_stay_float() -> None:
    text = """(float[b, 24, n] x) => (float[b, 8, m] y) {
     c = Conv (x, w) s = Sin(c) t = ConvTranspose (s, u) d = Conv (t, v) y = Conv (d, k) }"""
    made = model(
        text,
        w=normal(24, 24, 1),
        u=normal(24, 24, 2),
        v=normal(8, 24, 1),
        k=normal(8, 8, 1),
    )
    convs = [node for node in made.graph if node.op_type == "Conv"]
    assert list(at_frame_rate(made.graph, DECODER)) == convs[:1]
    assert list(narrow_convs(made.graph, DECODER)) == convs[2:]


def test_a_decoders_noisy_convolutions_stay_float() -> None:
    text = """(float[b, 64, n] x) => (float[b, 8, m] y) {
     c = Conv (x, wide) d = Conv (c, short) t = ConvTranspose (d, u) y = Conv (t, few) }"""
    weights = {
        "wide": normal(64, 64, 7),
        "short": normal(64, 64, 3),
        "u": normal(64, 48, 2),
        "few": normal(8, 48, 7),
    }
    made = model(text, **weights)
    _, short, few = (node for node in made.graph if node.op_type == "Conv")
    found = noisy_convs(made.graph, DECODER)
    assert set(found) == {short, few}
    assert found[short].startswith("a kernel of 3:")
    assert found[few].startswith("48 input channels:")
    for traits in (ENCODER, NO_TRAITS):
        assert noisy_convs(made.graph, traits) == {}


def test_what_a_decoder_keeps_in_float_is_stored_in_8_bits() -> None:
    text = """(float[b, 64, n] x) => (float[b, 1, m] y) {
     c = Conv (x, wide, b) s = Sin (c) d = Conv (s, short, b) e = Conv (d, short)
     t = ConvTranspose (e, u) f = Conv (t, few, g) y = Conv (f, last, h) }"""
    weights = {"wide": normal(64, 64, 7), "b": normal(64), "short": normal(64, 64, 3)}
    weights |= {"u": normal(64, 8, 2), "few": normal(8, 8, 7), "g": normal(8)}
    weights |= {"last": normal(1, 8, 512), "h": normal(1)}
    made = model(text, **weights)
    wide, short, bare, few, last = (node for node in made.graph if node.op_type == "Conv")
    found = stored(made.graph, DECODER, kept={last})
    assert set(found) == {wide, short}  # not what has no bias, is short or is kept
    assert bare not in found and few not in found
    assert found[short].endswith("; its weights alone take 8 bits")
    assert stored(made.graph, ENCODER, kept=()) == {}
