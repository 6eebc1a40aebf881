import numpy as np
import pytest

from optimize.fusions.rms_norm import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run

FORMS = {
    "div": "q = Mul(x, x) m = ReduceMean(q, axes) e = Add(m, eps) r = Sqrt(e) n = Div(x, r)",
    "reciprocal": "q = Pow(x, two) m = ReduceMean(q, axes) e = Add(eps, m) r = Sqrt(e) "
    "i = Reciprocal(r) n = Mul(i, x)",
    "one_over": "q = Mul(x, x) m = ReduceMean(q, axes) e = Add(m, eps) r = Sqrt(e) "
    "i = Div(one, r) n = Mul(x, i)",
}
WEIGHTS = {
    "axes": np.array([-1]),
    "eps": np.float32(1e-6),
    "one": np.float32(1),
    "two": np.float32(2),
    "w": normal(24, seed=3),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_becomes_one_operator_with_the_same_values(form: str) -> None:
    text = f"(float[b, t, 24] x) => (float[b, t, 24] y) {{ {FORMS[form]} y = Mul(w, n) }}"
    feeds = {"x": 5 * normal(2, 7, 24)}
    expected = run(model(text, **WEIGHTS), feeds)["y"]
    fused = model(text, **WEIGHTS)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused) == {"SimplifiedLayerNormalization": 1}
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (FORMS["div"].replace("Add(m, eps)", "Add(m, x)") + " y = Mul(n, w)", "epsilon"),
        (FORMS["div"].replace("Div(x, r)", "Div(w, r)") + " y = Mul(n, w)", "does not divide"),
        (FORMS["div"] + " y = Mul(n, x)", "constant vector"),
        (FORMS["div"].replace("axes)", "first)") + " y = Mul(n, w)", "the axes [1]"),
        (FORMS["div"] + " y = Mul(n, w) z = Neg(n)", "2 readers"),
    ],
)
def test_what_is_no_rms_norm_is_left_with_the_reason(body: str, reason: str) -> None:
    outputs = "(float[b, t, 24] y, float[b, t, 24] z)" if "z =" in body else "(float[b, t, 24] y)"
    made = model(f"(float[b, t, 24] x) => {outputs} {{ {body} }}", first=np.array([1]), **WEIGHTS)
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert len(unmatched) == 1
    assert reason in unmatched[0].reason
