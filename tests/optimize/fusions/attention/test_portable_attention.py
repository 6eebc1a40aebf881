import numpy as np
import onnx
import onnx_ir as ir
import pytest

from optimize.fusions.attention.portable_attention import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run

HEADS, WIDTH = 2, 16
INPUTS = ", ".join(f"float[b, t, {WIDTH}] {name}" for name in "qkv")
ATTENTION = (
    f"({INPUTS}, float[1, {HEADS}, t, t] bias) => (float[b, t, {WIDTH}] y) {{"
    f" y = com.microsoft.MultiHeadAttention <num_heads = {HEADS}, scale = 0.25>"
    " (q, k, v, , , bias) }"
)


def attention(text: str, opset: int = 23) -> ir.Model:
    made = model(text)
    made.opset_imports[""] = opset
    return made


@pytest.mark.parametrize("length", [1, 3, 100, 575])
@pytest.mark.parametrize("has_bias", [True, False])
def test_it_has_the_same_values_and_no_foreign_operator(length: int, has_bias: bool) -> None:
    text = ATTENTION if has_bias else ATTENTION.replace("(q, k, v, , , bias)", "(q, k, v)")
    feeds = {name: normal(2, length, WIDTH, seed=i) for i, name in enumerate("qkv")}
    feeds["bias"] = normal(1, HEADS, length, length, seed=5)
    expected = run(attention(text), feeds)["y"]
    made = attention(text)
    assert apply(RULE, made.graph) == (1, [])
    assert dict(ops(made)) == {"Attention": 1}
    del made.opset_imports["com.microsoft"]
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    np.testing.assert_allclose(run(made, feeds)["y"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "opset", "reason"),
    [
        (ATTENTION, 21, "opset 21, Attention begins with 23"),
        (ATTENTION.replace("v, , ,", "v, , k,"), 23, "padding mask"),
        (ATTENTION.replace(", scale = 0.25", ""), 23, "scale is implied"),
    ],
)
def test_what_it_cannot_say_is_left_with_the_reason(text: str, opset: int, reason: str) -> None:
    made = attention(text, opset)
    count, (unmatched,) = apply(RULE, made.graph)
    assert count == 0
    assert reason in unmatched.reason
    assert ops(made)["MultiHeadAttention"] == 1
