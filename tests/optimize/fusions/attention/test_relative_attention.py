import re

import numpy as np
import pytest

from optimize.fusions.attention.relative_attention import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run

HEADS, SIZE, WIDTH = 2, 8, 16
PROJECTIONS = "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv)"
SPLIT = """
 q4 = Reshape(q, split) qh = Transpose <perm = [0, 2, 1, 3]> (q4)
 k4 = Reshape(k, split) kh = Transpose <perm = [0, 2, 3, 1]> (k4)
 v4 = Reshape(v, split) vh = Transpose <perm = [0, 2, 1, 3]> (v4)
"""
SCORES = "s = MatMul(qh, kh) a = Mul(s, scale) c = Add(a, bias) p = Softmax <axis = -1> (c)"
MERGE = "m = MatMul(p, vh) t = Transpose <perm = [0, 2, 1, 3]> (m) y = Reshape(t, join)"
FORMS = {
    "builder": SPLIT + SCORES,
    "scaled query and key": SPLIT.replace("[0, 2, 3, 1]> (k4)", "[0, 2, 1, 3]> (k4)")
    + """
 qs = Mul(qh, root) kt = Transpose <perm = [0, 1, 3, 2]> (kh) ks = Mul(root, kt)
 s = MatMul(qs, ks) c = Add(bias, s) p = Softmax <axis = -1> (c)""",
    "divided": SPLIT + SCORES.replace("Mul(s, scale)", "Div(s, divisor)"),
    "bias of three axes": SPLIT + SCORES.replace("(a, bias)", "(a, bias3)"),
    "no bias": SPLIT + "s = MatMul(qh, kh) a = Mul(scale, s) p = Softmax <axis = 3> (a)",
}


def weights() -> dict[str, np.ndarray]:
    scale = np.float32(SIZE**-0.5)
    return {
        **{f"w{name}": normal(WIDTH, WIDTH, seed=i) / 4 for i, name in enumerate("qkv")},
        "split": np.array([0, 0, HEADS, SIZE]),
        "join": np.array([0, 0, WIDTH]),
        "scale": scale,
        "root": np.sqrt(scale),
        "divisor": 1 / scale,
    }


def attention(body: str, merge: str = MERGE) -> str:
    biases = f"float[1, {HEADS}, t, t] bias, float[{HEADS}, t, t] bias3"
    return (
        f"(float[b, t, {WIDTH}] x, {biases}) => (float[b, t, {WIDTH}] y) "
        f"{{ {PROJECTIONS} {body} {merge} }}"
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [5, 12])
def test_each_form_becomes_one_operator_with_the_same_values(form: str, length: int) -> None:
    text = attention(FORMS[form])
    bias = normal(1, HEADS, length, length, seed=5)
    feeds = {"x": normal(2, length, WIDTH), "bias": bias, "bias3": bias[0]}
    expected = run(model(text, **weights()), feeds)["y"]
    fused = model(text, **weights())
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused)["MultiHeadAttention"] == 1
    assert ops(fused)["Softmax"] == 0
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "merge", "reason"),
    [
        (FORMS["builder"].replace("axis = -1", "axis = 1"), MERGE, "not over the keys"),
        (FORMS["builder"].replace("Add(a, bias)", "Add(x4, bias)"), MERGE, "product of query"),
        (FORMS["builder"], MERGE.replace("[0, 2, 1, 3]> (m)", "[0, 2, 3, 1]> (m)"), "beside"),
        (SPLIT + SCORES.replace("qh, kh", "qn, kh"), MERGE, "where Transpose was expected"),
    ],
)
def test_what_is_no_attention_is_left_with_the_reason(body: str, merge: str, reason: str) -> None:
    prefix = "x4 = Unsqueeze(x, one) " if "x4" in body else ""
    if "qn" in body:
        body = body.replace("s = MatMul(qn", "qn = Neg(qh) s = MatMul(qn")
    text = attention(prefix + body, merge)
    made = model(text, one=np.array([1]), **weights())
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert reason in unmatched[0].reason
    assert ops(made)["Softmax"] == 1


def test_one_unsqueeze_serves_every_layer() -> None:
    first = f"{PROJECTIONS} {FORMS['bias of three axes']} {MERGE}"
    inner = r"\b(q|k|v|[qkv]4|[qkv]h|s|a|c|p|m|t)\b"
    second = re.sub(inner, r"\1b", first.replace("(x,", "(z,"))
    text = attention("").replace(PROJECTIONS, first.replace("y =", "z =")).replace(MERGE, second)
    made = model(text, **weights())
    assert apply(RULE, made.graph) == (2, [])
    assert ops(made)["Unsqueeze"] == 1
    assert ops(made)["MultiHeadAttention"] == 2
