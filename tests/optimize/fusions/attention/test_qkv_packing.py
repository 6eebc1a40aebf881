import numpy as np

from optimize.fusions.attention.qkv_packing import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run

TEXT = """(float[b, t, 8] x, float[b, t, 8] z) => (float[b, t, 8] y) {
 q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(%s, wv)
 y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, v) }"""
WEIGHTS = {f"w{name}": normal(8, 8, seed=i) for i, name in enumerate("qkv")}


def test_three_products_become_one() -> None:
    feeds = {"x": normal(2, 5, 8), "z": normal(2, 5, 8)}
    expected = run(model(TEXT % "x", **WEIGHTS), feeds)["y"]
    fused = model(TEXT % "x", **WEIGHTS)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused) == {"MatMul": 1, "Split": 1, "MultiHeadAttention": 1}
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


def test_products_of_different_values_are_left_with_the_reason() -> None:
    made = model(TEXT % "z", **WEIGHTS)
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert "reads another value" in unmatched[0].reason
