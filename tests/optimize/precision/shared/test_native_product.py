"""Products of the optional library, by each of its kernels; skipped where there is no compiler."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from optimize.precision.bfloat16 import Bfloat16
from optimize.precision.int8.dynamic import DynamicInt8
from optimize.precision.shared import native_product
from optimize.precision.shared.quantize import per_channel_scales, quantize_per_channel
from tests.optimize.graphs import Array, convert, model, normal, ops, run, snr_db
from tests.optimize.native_kernels import KERNELS, by, needs_compiler
from vampnet_models.errors import NotApplicable

pytestmark = pytest.mark.usefixtures("native_cache")

ROWS, COLUMNS = 70, 130
"""No multiple of a word, and a panel of two columns behind two full ones."""

PRODUCT = "(float[b, t, 70] x) => (float[b, t, 130] y) { y = MatMul(x, w) }"
BLOCK = """(float[b, t, 70] x, float[b, t, 130] h) => (float[b, t, 130] y) {
 p = MatMul(x, w) q = Add(bias, p) y = Add(h, q) }"""
WEIGHT = normal(ROWS, COLUMNS)


def native(text: str, precision: DynamicInt8 | Bfloat16, **weights: Array) -> ir.Model:
    made = model(text, **weights)
    convert(made, precision)
    return made


def by_rows(x: Array, weight: Array, scales: Array) -> Array:
    """What an integer product is: each row in 8 bits by its own range, 0 among its values."""
    integers = quantize_per_channel(weight, scales, 1).astype(np.int64)
    low, high = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
    steps = ((high - low) / np.float32(255)).astype(np.float32)
    zeros = np.rint(-low / steps)
    stored = np.rint(x * (np.float32(1) / steps)[..., None]) + zeros[..., None]
    sums = (np.clip(stored, 0, 255) - zeros[..., None]).astype(np.int64) @ integers
    found: Array = sums * (scales * steps[..., None])
    return found


@needs_compiler
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("n_rows", [1, 2, 13, 800])
def test_rows_are_multiplied_in_8_bits_by_every_kernel(
    kernels: str, n_rows: int, tmp_path: Path
) -> None:
    x = normal(1, n_rows, ROWS, seed=1) * np.float32(10) ** normal(1, n_rows, 1, seed=2) + 1
    made = native(PRODUCT, DynamicInt8(native=True), w=WEIGHT)
    assert ops(made) == {"IntegerProduct": 1}
    expected = by_rows(x, WEIGHT, per_channel_scales(WEIGHT, 1))
    found = by(kernels, made, tmp_path, x=x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert snr_db(x @ WEIGHT, found) > 38


@needs_compiler
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("n_rows", [1, 13, 800])
def test_blocks_of_a_row_have_ranges_of_their_own_by_every_kernel(
    kernels: str, n_rows: int, tmp_path: Path
) -> None:
    x = normal(1, n_rows, ROWS, seed=1)
    x[..., 5] *= 300  # no block but its own is rounded as coarsely
    made = model(PRODUCT, w=WEIGHT)
    (node,) = made.graph
    native_product.integer_product(node, native_product.Epilogue(), in_blocks=True)
    assert ops(made) == {"IntegerBlockProduct": 1}
    sums = made.graph.node(0).inputs[3]
    assert sums is not None and sums.dtype == ir.DataType.INT16 and sums.shape == (2, COLUMNS)
    half = 36  # channels, in 9 of 18 words
    scales = per_channel_scales(WEIGHT, 1)
    expected = by_rows(x[..., :half], WEIGHT[:half], scales)
    expected = expected + by_rows(x[..., half:], WEIGHT[half:], scales)
    found = by(kernels, made, tmp_path, x=x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert snr_db(x @ WEIGHT, found) > snr_db(x @ WEIGHT, by_rows(x, WEIGHT, scales)) + 1


@needs_compiler
@pytest.mark.parametrize("kernels", ["", "bf16", "avx512", "portable"])
@pytest.mark.parametrize("n_rows", [1, 13, 800])
def test_products_in_bfloat16_have_sums_in_float32(
    kernels: str, n_rows: int, tmp_path: Path
) -> None:
    x = normal(1, n_rows + 1, ROWS, seed=1)
    x[0, 0, 3] = np.nan
    made = native(PRODUCT, Bfloat16(native=True), w=WEIGHT)
    assert ops(made) == {"Bfloat16Product": 1}
    rounded = [each.astype(ml_dtypes.bfloat16).astype(np.float64) for each in (x, WEIGHT)]
    found = by(kernels, made, tmp_path, x=x)
    assert np.isnan(found[0, 0]).all()
    np.testing.assert_allclose(found[:, 1:], (rounded[0] @ rounded[1])[:, 1:], rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("kernels", ["", "portable"])
@pytest.mark.parametrize("precision", [DynamicInt8(native=True), Bfloat16(native=True)])
def test_a_bias_and_what_is_added_join_the_product(
    precision: DynamicInt8 | Bfloat16, kernels: str, tmp_path: Path
) -> None:
    weights = {"w": WEIGHT, "bias": normal(COLUMNS, seed=4)}
    x, h = normal(2, 9, ROWS, seed=1), normal(2, 9, COLUMNS, seed=3)
    expected = run(model(BLOCK, **weights), {"x": x, "h": h})["y"]
    made = native(BLOCK, precision, **weights)
    assert ops(made).total() == 1
    assert snr_db(expected, by(kernels, made, tmp_path, x=x, h=h)) > 38


@needs_compiler
@pytest.mark.parametrize("kernels", ["", "vnni", "portable"])
def test_rows_of_zeros_and_rows_that_are_not_finite_stay_so(kernels: str, tmp_path: Path) -> None:
    x = normal(1, 6, ROWS)
    x[0, 0], x[0, 2, 3], x[0, 4, 5] = 0, np.nan, np.inf
    made = native(PRODUCT, DynamicInt8(native=True), w=WEIGHT)
    found = by(kernels, made, tmp_path, x=x)[0]
    assert not found[0].any()
    assert not np.isfinite(found[[2, 4]]).any()
    assert np.isfinite(found[[0, 1, 3, 5]]).all()


def test_what_is_broadcast_is_added_apart() -> None:
    text = BLOCK.replace("float[b, t, 130] h", "float[b, 1, 130] h")
    made = native(text, DynamicInt8(native=True), w=WEIGHT, bias=normal(COLUMNS))
    assert ops(made) == {"IntegerProduct": 1, "Add": 1}


def test_of_two_products_that_are_added_one_takes_the_other_in() -> None:
    text = """(float[b, t, 70] x) => (float[b, t, 130] y) {
     p = MatMul(x, w) q = MatMul(x, v) y = Add(p, q) }"""
    made = native(text, DynamicInt8(native=True), w=WEIGHT, v=normal(ROWS, COLUMNS, seed=5))
    assert ops(made) == {"IntegerProduct": 2}


def test_stacks_and_tables_are_the_runtimes() -> None:
    text = """(float[3, t, 70] x, int64[n] i) => (float[3, t, 130] y, float[n, 130] g) {
     s = MatMul(x, w) y = MatMul(s, k) g = Gather(w, i) }"""
    made = native(text, DynamicInt8(native=True), w=WEIGHT, k=normal(3, COLUMNS, COLUMNS))
    assert ops(made)["MatMulInteger"] == 2


def test_bfloat16_without_the_library_is_unfolded_at_load() -> None:
    made = native(PRODUCT, Bfloat16(), w=WEIGHT)
    assert ops(made) == {"Cast": 1, "MatMul": 1}
    stored = made.graph.node(0).inputs[0]
    assert stored is not None and stored.dtype == ir.DataType.BFLOAT16
    x = normal(1, 9, ROWS)
    expected = x @ WEIGHT.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_allclose(run(made, {"x": x})["y"], expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_has_nothing_to_do_without_products() -> None:
    text = "(float[b, 70, n] x) => (float[b, 30, n] y) { y = Conv <kernel_shape = [1]> (x, k) }"
    with pytest.raises(NotApplicable, match="no product with a matrix of its own"):
        native(text, Bfloat16(), k=normal(30, 70, 1))
