from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.fusions.order import fuse
from optimize.precision.contract import Traits, traits_of
from optimize.precision.shared.quantize import (
    Bits,
    asymmetric_blocks,
    block_scales,
    fitted_blocks,
    pack_zeros,
    quantize_asymmetric,
    quantize_blocks,
)
from optimize.precision.shared.tables import lookups
from optimize.precision.weights.weight_only import FLOAT_COMPUTE, Method, WeightOnly
from optimize.surgery.graph import tensor_of
from tests.optimize.graphs import (
    check,
    convert,
    dequantize,
    model,
    normal,
    ops,
    run,
    runtime_ops,
    snr_db,
)
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, weights_bytes
from vampnet_models.spec import spec_of

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
    done = convert(made, WeightOnly(bits))
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
    done = convert(made, WeightOnly(bits))
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
    convert(made, WeightOnly(8))
    found = run(made, feeds)["y"]
    for channel in (0, 31, 63):
        assert snr_db(expected[:, channel], found[:, channel]) > 38


def test_partial_blocks_get_eight_bits_and_say_so() -> None:
    text = "(float[b, 40, n] x) => (float[b, 64, m] y) { y = Conv (x, w) }"
    made = model(text, w=normal(64, 40, 3))
    done = convert(made, WeightOnly(4))
    assert done.precision == {"int8": 1}
    assert [(node.precision, node.reason) for node in done.mixed_nodes] == [
        ("int8", "its 40 input channels are no whole blocks of 32")
    ]


def test_weights_are_read_when_they_are_written_only() -> None:
    made = model(MATMUL, w=normal(96, 64))
    convert(made, WeightOnly(8))
    (packed,) = (v for name, v in made.graph.initializers.items() if name.endswith("int8"))
    assert type(packed.const_value).__name__ == "LazyTensor"
    assert "w" not in made.graph.initializers


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("block", [32, 64, 128])
@pytest.mark.parametrize("method", ["symmetric", "asymmetric", "fitted"])
@pytest.mark.parametrize("rows", [96, 160])
def test_every_block_size_and_method_computes_what_its_numbers_say(
    bits: Bits, block: int, method: Method, rows: int
) -> None:
    weight = normal(rows, 64) + 0.7 * normal(1, 64, seed=3)
    made = model(MATMUL.replace("96", str(rows)), w=weight)
    convert(made, WeightOnly(bits, block, method=method))
    feeds = {"x": normal(2, 5, rows)}
    if method == "symmetric":
        scales = block_scales(weight, 0, block, bits)
        values = quantize_blocks(weight, scales, 0, block, bits)
        stored = dequantize(values, scales, 0, block)
    else:
        fit = asymmetric_blocks if method == "asymmetric" else fitted_blocks
        scales, zeros = fit(weight, 0, block, bits)
        values = quantize_asymmetric(weight, scales, zeros, 0, block, bits)[:rows].astype(np.int16)
        expanded = np.repeat(zeros.astype(np.int16), block, axis=0)[:rows]
        stored = dequantize(values - expanded, scales, 0, block)
    expected = feeds["x"] @ stored
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=0, atol=2e-4)
    check(made)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_fitted_range_has_no_larger_error_and_a_smaller_one_with_outliers(axis: int) -> None:
    weight = normal(96, 96)
    weight[::24, ::24] *= 6

    def error(fit: Callable[..., Any]) -> float:
        scales, zeros = fit(weight, axis, 32, 4)
        values = quantize_asymmetric(weight, scales, zeros, axis, 32, 4).astype(np.int16)
        shifted = values - np.repeat(zeros.astype(np.int16), 32, axis=axis)
        return float(np.square(dequantize(shifted, scales, axis, 32) - weight).sum())

    assert error(fitted_blocks) < 0.97 * error(asymmetric_blocks)


def test_zero_points_of_an_odd_number_of_blocks_are_padded_per_column() -> None:
    zeros = np.array([[1, 2], [3, 4], [5, 6]], np.uint8)
    assert pack_zeros(zeros, 4).tolist() == [0x31, 0x05, 0x42, 0x06]
    assert pack_zeros(zeros, 8).tolist() == [1, 3, 5, 2, 4, 6]


def test_one_scale_per_column_is_computed_in_float(tmp_path: Path) -> None:
    weight, feeds = normal(96, 64), {"x": normal(2, 5, 96)}
    made = model(MATMUL, w=weight)
    done = convert(made, WeightOnly(8, None))
    assert done.precision == {"int8": 1}
    assert weights_bytes(made) == 96 * 64 + 64 * 4
    scales = np.abs(weight).max(axis=0) / 127
    expected = feeds["x"] @ (np.rint(weight / scales) * scales)
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=0, atol=1e-4)
    assert set(runtime_ops(made, tmp_path)) <= {"MatMul", "Mul", "FusedMatMul"}


def test_four_bits_without_blocks_are_refused() -> None:
    with pytest.raises(InputError, match="give a block"):
        convert(model(MATMUL, w=normal(96, 64)), WeightOnly(4, None))


def test_weights_alone_means_that_activations_stay_float() -> None:
    made = model(MATMUL, w=normal(96, 64))
    convert(made, WeightOnly(8))
    (node,) = list(made.graph)
    assert node.attributes["accuracy_level"].as_int() == FLOAT_COMPUTE


@pytest.mark.parametrize("bits", [4, 8])
def test_the_embedding_stays_float_and_says_so(bits: Bits) -> None:
    text = """(int64[b, t] i) => (float[b, t, 48] z) {
     a = Gather (t0, i) c = Gather (t1, i) e = Concat <axis = -1> (a, c)
     y = MatMul(e, w) z = MatMul(y, v) }"""
    made = model(
        text,
        t0=normal(9, 32),
        t1=normal(9, 32, seed=1),
        w=normal(64, 64),
        v=normal(64, 48),
    )
    done = convert(made, WeightOnly(bits=bits), traits=Traits(embeds_codes=True))
    assert done.precision == {f"int{bits}": 1, "float32": 1}
    assert "one scale for the rows of all codebooks" in done.float_nodes[0].reason


TABLES = """(int64[b, n] i, int64[b, n] j) => (float[b, n, 8] y, float[b, n, 8] few) {
 e = Gather<axis = 0>(table, i) y = MatMul(e, w) few = Gather<axis = 0>(short, j) }"""


@pytest.mark.parametrize("bits", [8, 4])
def test_rows_of_long_tables_are_looked_up_in_eight_bits(bits: Bits) -> None:
    weights = {"table": normal(1024, 8), "short": normal(9, 8), "w": normal(8, 8)}
    weights["table"][::3] *= 50
    feeds = {"i": np.arange(0, 1000, 10).reshape(4, 25), "j": np.full((4, 25), 7)}
    expected = run(model(TABLES, **weights), feeds)
    made = model(TABLES, **weights)
    done = convert(made, WeightOnly(bits, tables=True))
    assert done.precision == {"int8": 1, "float32": 1}
    assert [node.reason for node in done.float_nodes if node.op_type == "Gather"] == [
        "a table of 0 KiB: its rows are looked up, not summed"
    ]
    assert len(done.mixed_nodes) == (bits == 4)
    stored = {v.name: v.const_value for v in made.graph.initializers.values()}
    assert stored["table.int8"].nbytes == 1024 * 8
    assert "table" not in stored
    found = run(made, feeds)
    assert snr_db(expected["y"], found["y"]) > 40
    np.testing.assert_array_equal(found["few"], expected["few"])
    check(made)


def test_tables_that_decide_the_codes_stay(small_models: Path) -> None:
    encoder = load_model(small_models / "codec_encoder.onnx")
    fuse(encoder)
    tables = [n for n in encoder.graph if n.op_type == "Gather" and tensor_of(n.inputs[0])]
    assert len(tables) >= 13
    assert lookups(encoder.graph, traits_of(spec_of(encoder))) == ()
    decoder = load_model(small_models / "codec_decoder.onnx")
    fuse(decoder)
    assert len(lookups(decoder.graph, traits_of(spec_of(decoder)))) == 14


@pytest.mark.parametrize("bits", [8, 4])
def test_a_matrix_with_rows_far_apart_stays_float_and_one_with_few_of_them_does_not(
    bits: Bits,
) -> None:
    spread = normal(96, 64)
    spread[::32] *= 3000
    made = model(MATMUL, w=spread)
    expected = run(made, {"x": normal(2, 5, 96)})["y"]
    (left,) = convert(made, WeightOnly(bits)).float_nodes
    assert left.reason.endswith(f"too small beside its largest ones for {bits} bits")
    assert snr_db(expected, run(made, {"x": normal(2, 5, 96)})["y"]) > 100
    one_block = normal(96, 64)
    one_block[0] *= 3000
    assert convert(model(MATMUL, w=one_block), WeightOnly(bits)).precision == {f"int{bits}": 1}
