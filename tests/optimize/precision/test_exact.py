"""Sums of 8-bit products at the ends of their range: exact on every processor."""

import numpy as np
import onnx_ir as ir
import pytest

from optimize.precision.exact import ask_for_exact_products
from optimize.precision.int8.dynamic import DynamicInt8
from optimize.precision.weights.weight_only import WeightOnly
from tests.optimize.graphs import convert, model, normal, run
from vampnet_models.onnxfile.exact import EXACT_KEY

PRODUCT = "(float[b, 64] x) => (float[b, 48] y) { y = MatMul(x, w) }"
TWICE = "(float[b, 64] x) => (float[b, 64] y) { h = MatMul(x, w) a = Tanh(h) y = MatMul(a, w) }"
CHANNELS = """(float[b, 16, n] x, uint8[4] q) => (float[b, 48, m] y, uint8[4] o) {
 d = DequantizeLinear <axis = 0> (w, s) y = Conv(x, d)
 f = DequantizeLinear(q, one) o = QuantizeLinear(f, one) }"""


def test_the_largest_products_are_summed_exactly() -> None:
    made = model(PRODUCT, w=np.full((64, 48), 127, np.float32))
    convert(made, DynamicInt8())
    assert not ask_for_exact_products(made)
    assert made.metadata_props[EXACT_KEY] == "1"
    # Half as much where pairs of products are cut to 16 bits.
    found = run(made, {"x": np.full((8, 64), 255, np.float32)})["y"]
    np.testing.assert_allclose(found, 255.0 * 127 * 64, rtol=1e-5)


def test_scales_per_channel_get_zero_points_of_their_own() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (48, 16, 1)).astype(np.int8)
    scales = rng.uniform(0.01, 0.1, 48).astype(np.float32)
    made = model(CHANNELS, w=weight, s=scales, one=np.ones((), np.float32))
    assert not ask_for_exact_products(made)
    (node,) = (n for n in made.graph if n.inputs[0] and n.inputs[0].name == "w")
    zeros = node.inputs[2]
    assert zeros is not None and zeros.const_value is not None
    assert np.array_equal(zeros.const_value.numpy(), np.zeros(48, np.int8))
    x = normal(2, 16, 9)
    found = run(made, {"x": x, "q": np.zeros(4, np.uint8)})["y"]
    expected = np.einsum("oi,bin->bon", weight[..., 0] * scales[:, None], x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_weight_that_two_products_read_is_told_to_saturate() -> None:
    made = model(TWICE, w=normal(64, 64))
    convert(made, DynamicInt8())
    assert ask_for_exact_products(made)
    assert EXACT_KEY not in made.metadata_props


def test_signed_values_are_told_to_saturate() -> None:
    text = """(float[b, 16, n] x) => (float[b, 48, m] y) {
     q = QuantizeLinear(x, one, zero) v = DequantizeLinear(q, one, zero)
     d = DequantizeLinear <axis = 0> (w, s) y = Conv(v, d) }"""
    weight, scales = np.ones((48, 16, 1), np.int8), np.ones(48, np.float32)
    one, zero = np.ones((), np.float32), np.zeros((), np.int8)
    made = model(text, w=weight, s=scales, one=one, zero=zero)
    (node,) = (n for n in made.graph if n.op_type == "QuantizeLinear")
    node.outputs[0].type = ir.TensorType(ir.DataType.INT8)
    assert ask_for_exact_products(made)
    assert EXACT_KEY not in made.metadata_props


@pytest.mark.parametrize("made", [WeightOnly(8), WeightOnly(4), None])
def test_float_products_are_not_marked(made: WeightOnly | None) -> None:
    graph: ir.Model = model(PRODUCT, w=normal(64, 48))
    if made is not None:
        convert(graph, made)
    assert not ask_for_exact_products(graph)
    assert EXACT_KEY not in graph.metadata_props
