import numpy as np
import pytest

from optimize.fusions.gemm import RULE
from optimize.fusions.rule import apply
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


def test_a_scaled_gemm_is_left_with_the_reason() -> None:
    text = "(float[n, 6] x) => (float[n, 4] y) { y = Gemm <alpha = 0.5> (x, w) }"
    made = model(text, w=normal(6, 4))
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert "alpha is 0.5" in unmatched[0].reason
