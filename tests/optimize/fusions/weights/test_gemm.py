import numpy as np
import pytest

from optimize.fusions.rule import apply
from optimize.fusions.weights.gemm import RULE
from optimize.surgery.unused import remove_unused
from tests.optimize.graphs import model, normal, ops, run


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_becomes_matmul_and_add(transposed: int) -> None:
    text = f"(float[n, 6] x) => (float[n, 4] y) {{ y = Gemm <transB = {transposed}> (x, w, c) }}"
    weights = {"w": normal(*((4, 6) if transposed else (6, 4))), "c": normal(4, seed=1)}
    feeds = {"x": normal(3, 6)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    assert apply(RULE, made.graph) == (1, [])
    assert ops(made) == {"MatMul": 1, "Add": 1}
    np.testing.assert_allclose(run(made, feeds)["y"], expected, atol=1e-5)


@pytest.mark.parametrize("c", [(), (1,), (4,), (3, 1), (3, 4)])
def test_factors_and_transposes_keep_the_values(c: tuple[int, ...]) -> None:
    text = """(float[6, n] x) => (float[n, 4] y) {
     y = Gemm <alpha = 0.5, beta = 2.0, transA = 1> (x, w, c) }"""
    weights = {"w": normal(6, 4), "c": normal(*c, seed=1)}
    feeds = {"x": normal(6, 3)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    assert apply(RULE, made.graph) == (1, [])
    assert ops(made) == {"Transpose": 1, "MatMul": 1, "Mul": 1, "Add": 1}
    np.testing.assert_allclose(run(made, feeds)["y"], expected, atol=1e-5)


def test_a_weight_and_a_scaled_bias_are_stored_once_for_all_readers() -> None:
    text = """(float[n, 6] x) => (float[n, 6] y) {
     a = Gemm <transB = 1, beta = 3.0> (x, w, c) y = Gemm <transB = 1, beta = 3.0> (a, w, c) }"""
    made = model(text, w=normal(6, 6), c=normal(6, seed=1))
    apply(RULE, made.graph)
    remove_unused(made)
    assert sorted(made.graph.initializers) == ["c.beta", "w.transposed"]


def test_a_product_of_activations_is_left_with_the_reason() -> None:
    made = model("(float[n, 6] x, float[6, 4] w) => (float[n, 4] y) { y = Gemm (x, w) }")
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert unmatched[0].reason == "its weight is not constant"
