"""What becomes an operator of the optional library, by structure: no library is needed."""

import numpy as np
import pytest

from optimize.fusions.codec.native_snake import RULE, add_dequantized
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN

SNAKE = """(float[b, 5, n] x) => (float[b, 5, n] y) {
 a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) y = Add(x, z) }"""
ADD = """(float[b, 5, n] x, uint8[b, 5, n] q) => (float[b, 5, n] y) {
 d = DequantizeLinear <axis = 1> (q, steps, zeros) y = Add(x, d) }"""
STEPS = {"steps": np.abs(normal(5)) + np.float32(0.1), "zeros": np.full(5, 7, np.uint8)}


def test_a_snake_is_one_operator_with_a_value_per_channel() -> None:
    alpha = np.abs(normal(1, 5, 1)) + np.float32(0.2)
    made = model(SNAKE, alpha=alpha, inverse=np.float32(0.5))
    assert apply(RULE, made.graph) == (1, [])
    (node,) = (each for each in made.graph if each.domain == NATIVE_DOMAIN)
    assert (node.op_type, made.graph.outputs[0].producer()) == ("Snake", node)
    alphas, inverses = (value.const_value.numpy() for value in node.inputs[1:])
    np.testing.assert_array_equal(alphas, alpha.reshape(5))
    np.testing.assert_array_equal(inverses, np.full(5, 0.5, np.float32))


@pytest.mark.parametrize(
    ("shape", "alpha", "reason"),
    [
        ("b, c, n", (1, 5, 1), "channels of its input are not known"),
        ("b, 5, n", (1, 5, 1, 1), "more axes than its input with 3"),
        ("b, 10, n", (1, 5, 1), "not one value for each of 10 channels"),
    ],
)
def test_a_snake_of_another_form_is_left_with_the_reason(
    shape: str, alpha: tuple[int, ...], reason: str
) -> None:
    made = model(SNAKE.replace("b, 5, n", shape), alpha=normal(*alpha), inverse=np.float32(1))
    count, (unmatched,) = apply(RULE, made.graph)
    assert (count, ops(made)["Sin"]) == (0, 1)
    assert reason in unmatched.reason


@pytest.mark.parametrize("sum_", ["Add(x, d)", "Add(d, x)"])
def test_what_is_added_to_dequantized_bytes_is_one_operator(sum_: str) -> None:
    made = model(ADD.replace("Add(x, d)", sum_), **STEPS)
    assert add_dequantized(made.graph) == 1
    node = made.graph.outputs[0].producer()
    assert node is not None and (node.op_type, node.domain) == ("DequantizeAdd", NATIVE_DOMAIN)
    assert [value.name for value in node.inputs[:3]] == ["x", "q", "steps"]
    assert node.inputs[3].const_value.numpy() == 7


@pytest.mark.parametrize(
    ("part", "other", "given"),
    [
        ("Add(x, d)", "Add(x, x)", {}),
        ("y = Add", "z = Relu(d) y = Add", {}),
        ("", "", {"steps": np.float32(0.1), "zeros": np.uint8(7)}),
        ("<axis = 1>", "<axis = 2>", {}),
        ("", "", {"zeros": np.arange(5, dtype=np.uint8)}),
        ("float[b, 5, n] x", "float[n] x", {}),
        ("Add(x, d)", "Add(w, d)", {"w": normal(1, 5, 1)}),
    ],
)
def test_other_sums_stay_what_they_are(part: str, other: str, given: dict) -> None:
    made = model(ADD.replace(part, other) if part else ADD, **STEPS | given)
    before = ops(made)
    assert add_dequantized(made.graph) == 0
    assert ops(made) == before
