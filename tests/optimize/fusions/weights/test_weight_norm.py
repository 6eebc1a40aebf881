import numpy as np
import onnx_ir as ir
import pytest

from optimize.fusions.rule import apply
from optimize.fusions.weights.weight_norm import RULE
from tests.optimize.graphs import model, normal, ops, run

HEAD = "(float[1, 6, t] x) => (float[1, 4, u] y)"
FORMS = {
    "dynamo": "n = ReduceL2(v, axes) d = Div(g, n) w = Mul(v, d) y = Conv(x, w)",
    "classic": "n = ReduceL2(v, axes) d = Div(v, n) w = Mul(d, g) y = Conv(x, w)",
}


def normed(body: str) -> ir.Model:
    weights = {"v": normal(4, 6, 3), "g": 1 + abs(normal(4, 1, 1, seed=1))}
    return model(f"{HEAD} {{ {body} }}", axes=np.array([1, 2]), **weights)


@pytest.mark.parametrize("form", FORMS)
def test_the_chain_becomes_the_weight(form: str) -> None:
    feeds = {"x": normal(1, 6, 9, seed=2)}
    expected = run(normed(FORMS[form]), feeds)["y"]
    made = normed(FORMS[form])
    assert apply(RULE, made.graph) == (1, [])
    assert dict(ops(made)) == {"Conv": 1}
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (FORMS["dynamo"].replace("Div(g, n)", "Div(n, g)"), "divides the norm"),
        (FORMS["dynamo"].replace("Mul(v, d)", "Mul(other, d)"), "the constant whose norm"),
        (FORMS["dynamo"].replace("ReduceL2", "ReduceL2 <keepdims = 0>"), "drops the reduced axes"),
    ],
)
def test_what_is_no_weight_norm_is_left_with_the_reason(body: str, reason: str) -> None:
    head = HEAD.replace("x)", "x, float[4, 6, 3] other)")
    weights = {"v": normal(4, 6, 3), "g": normal(4, 1, 1)}
    made = model(f"{head} {{ {body} }}", axes=np.array([1, 2]), **weights)
    count, (unmatched,) = apply(RULE, made.graph)
    assert count == 0
    assert reason in unmatched.reason
    assert ops(made)["ReduceL2"] == 1
