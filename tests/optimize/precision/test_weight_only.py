from pathlib import Path

import numpy as np
import pytest

from optimize.precision.quantize import Bits
from optimize.precision.weight_only import Settings, convert
from tests.optimize.graphs import check, model, normal, ops, run, runtime_ops, snr_db
from vampnet_models.artifact import weights_bytes

MATMUL = "(float[b, t, 96] x) => (float[b, t, 64] y) { y = MatMul(x, w) }"
CONVS = """(float[b, 64, n] x) => (float[b, 64, m] y) {
 c = Conv <kernel_shape = [3], pads = [2, 2], dilations = [2]> (x, w, bias)
 y = ConvTranspose <kernel_shape = [4], strides = [2], pads = [1, 1]> (c, v, bias) }"""
CONV_WEIGHTS = {"w": normal(64, 64, 3), "v": normal(64, 64, 4, seed=1), "bias": normal(64)}


@pytest.mark.parametrize(("bits", "least_db"), [(8, 38.0), (4, 18.0)])
@pytest.mark.parametrize("rows", [96, 80])
def test_matmul_becomes_nbits_and_the_runtime_agrees(
    bits: Bits, least_db: float, rows: int
) -> None:
    text, weights = MATMUL.replace("96", str(rows)), {"w": normal(rows, 64)}
    feeds = {"x": normal(2, 5, rows)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    done = convert(made, Settings(bits))
    assert done.precision == {f"int{bits}": 1}
    assert ops(made) == {"MatMulNBits": 1}
    assert weights_bytes(made) < rows * 64 * 4 * (bits + 4) / 32
    assert snr_db(expected, run(made, feeds)["y"]) > least_db
    check(made)


@pytest.mark.parametrize(("bits", "least_db"), [(8, 40.0), (4, 17.0)])
def test_convolutions_keep_packed_weights_in_the_runtime(
    bits: Bits, least_db: float, tmp_path: Path
) -> None:
    feeds = {"x": normal(2, 64, 30)}
    expected = run(model(CONVS, **CONV_WEIGHTS), feeds)["y"]
    made = model(CONVS, **CONV_WEIGHTS)
    done = convert(made, Settings(bits))
    assert done.precision == {f"int{bits}": 2}
    assert runtime_ops(made, tmp_path)["DequantizeLinear"] == 2
    assert snr_db(expected, run(made, feeds)["y"]) > least_db
    check(made)


def test_channels_of_a_transposed_convolution_have_scales_of_their_own() -> None:
    text = "(float[b, 64, n] x) => (float[b, 64, m] y) { y = ConvTranspose (x, v) }"
    spread = np.float32(10.0) ** np.linspace(-3, 3, 64, dtype=np.float32)[None, :, None]
    weights = {"v": normal(64, 64, 4) * spread}
    feeds = {"x": normal(1, 64, 30)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    convert(made, Settings(8))
    found = run(made, feeds)["y"]
    for channel in (0, 31, 63):
        assert snr_db(expected[:, channel], found[:, channel]) > 38


def test_partial_blocks_get_eight_bits_and_say_so() -> None:
    text = "(float[b, 40, n] x) => (float[b, 64, m] y) { y = Conv (x, w) }"
    made = model(text, w=normal(64, 40, 3))
    done = convert(made, Settings(4))
    assert done.precision == {"int8": 1}
    assert [(node.precision, node.reason) for node in done.mixed_nodes] == [
        ("int8", "its 40 input channels are no whole blocks of 32")
    ]


def test_weights_are_read_when_they_are_written_only() -> None:
    made = model(MATMUL, w=normal(96, 64))
    convert(made, Settings(8))
    (packed,) = (v for name, v in made.graph.initializers.items() if name.endswith("int8"))
    assert type(packed.const_value).__name__ == "LazyTensor"
    assert "w" not in made.graph.initializers
