from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optimize.precision.int8 import conv_exclusions, snake_tiles
from optimize.precision.int8.snake_tiles import samples_per_frame, tile_channels
from optimize.precision.int8.static import StaticInt8
from tests.optimize.graphs import check, convert, model, normal, ops, run, runtime_ops, snr_db
from tests.optimize.precision.int8.test_conv import Seen

CHANNELS = 24
DECODER = """(float[b, 24, n] latent) => (float[b, 24, m] y) {
 x = ConvTranspose <kernel_shape = [4], strides = [2], pads = [1, 1]> (latent, u)
 a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) h = Add(x, z)
 c = Conv <kernel_shape = [3], pads = [1, 1]> (h, w)
 a2 = Mul(alpha, c) s2 = Sin(a2) q2 = Mul(s2, s2) z2 = Mul(inverse, q2) h2 = Add(c, z2)
 d = Conv <kernel_shape = [3], pads = [1, 1]> (h2, w) e = Add(x, d)
 a3 = Mul(alpha, e) s3 = Sin(a3) q3 = Mul(s3, s3) z3 = Mul(inverse, q3) y = Add(e, z3) }"""
ALPHA = np.abs(normal(1, CHANNELS, 1, seed=2)) + np.float32(0.2)
WEIGHTS = {
    "alpha": ALPHA,
    "inverse": 1 / ALPHA,
    "u": normal(CHANNELS, CHANNELS, 4) / 8,
    "w": normal(CHANNELS, CHANNELS, 3, seed=1) / 8,
}
NAMES = ("h", "c", "h2", "d")


def quantized(batch: int = 2) -> tuple[ir.Model, dict[str, np.ndarray], np.ndarray]:
    feeds = {"latent": normal(batch, CHANNELS, 150)}
    made = model(DECODER, **WEIGHTS)
    shown = ", ".join(f"float[b, 24, m] {name}" for name in NAMES)
    truth = run(model(DECODER.replace("=> (", f"=> ({shown}, "), **WEIGHTS), feeds)
    seen = {name: Seen(truth[name].min((0, 2)), truth[name].max((0, 2))) for name in NAMES}
    convert(made, StaticInt8(), seen)
    return made, feeds, truth["y"]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a tensor of this size count as larger than the cache, at 1, 2, ... channels a slice."""
    monkeypatch.setattr(conv_exclusions, "_NARROW_CHANNELS", 8)
    monkeypatch.setattr(conv_exclusions, "_DECODER_CHANNELS", 8)
    monkeypatch.setattr(conv_exclusions, "_SHORT_KERNEL", 0)
    monkeypatch.setattr(snake_tiles, "_TILE_ELEMENTS", 4 * snake_tiles._TYPICAL_FRAMES * 2)


def test_slices_give_what_whole_tensors_give(
    large: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiled, feeds, truth = quantized()
    check(tiled)
    assert ops(tiled)["Scan"] == 3
    assert ops(tiled)["Sin"] == 0
    assert runtime_ops(tiled, tmp_path)["QLinearConv"] == 2
    monkeypatch.setattr(snake_tiles, "_TILE_ELEMENTS", 1 << 30)
    whole, _, _ = quantized()
    assert ops(whole)["Scan"] == 0
    ours, others = run(tiled, feeds)["y"], run(whole, feeds)["y"]
    assert snr_db(truth, ours) > 34
    assert snr_db(others, ours) > 45


def test_slices_take_any_length(large: None) -> None:
    made, _, _ = quantized()
    feeds = {"latent": normal(1, CHANNELS, 37, seed=5)}
    expected = run(model(DECODER, **WEIGHTS), feeds)["y"]
    assert snr_db(expected, run(made, feeds)["y"]) > 30


def test_slices_fit_the_cache_and_divide_the_channels() -> None:
    assert tile_channels(768, 6) == 96
    assert tile_channels(192, 96) == 6
    assert tile_channels(24, 768) == 1
    assert tile_channels(64, 6) is None


def test_strides_of_the_upsampling_give_the_rate() -> None:
    graph = model(DECODER, **WEIGHTS).graph
    assert samples_per_frame(graph)[graph.outputs[0]] == 2
