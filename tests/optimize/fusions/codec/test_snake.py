import numpy as np
import pytest

from optimize.fusions.cleanup import clean
from optimize.fusions.codec.snake import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import model, normal, ops, run

ALPHA = np.abs(normal(1, 5, 1, seed=2)) + np.float32(0.2)
CONSTANTS = {
    "alpha": ALPHA,
    "inverse": 1 / (ALPHA + np.float32(1e-9)),
    "eps": np.float32(1e-9),
    "two": np.float32(2),
    "one": np.float32(1),
    "time": np.ones((1, 1, 40), np.float32),
}
FORMS = {
    "builder": "a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) y = Add(x, z)",
    "pow, reciprocal": "a = Mul(alpha, x) s = Sin(a) q = Pow(s, two) e = Add(alpha, eps) "
    "r = Reciprocal(e) z = Mul(r, q) y = Add(x, z)",
    "div": "a = Mul(x, alpha) s = Sin(a) q = Mul(s, s) e = Add(alpha, eps) z = Div(q, e) "
    "y = Add(z, x)",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_becomes_the_cheapest_with_the_same_values(form: str) -> None:
    text = f"(float[b, 5, n] x) => (float[b, 5, n] y) {{ {FORMS[form]} }}"
    feeds = {"x": 3 * normal(2, 5, 40)}
    x = feeds["x"].astype(np.float64)
    expected = x + np.sin(ALPHA * x) ** 2 / (ALPHA + 1e-9)
    made = model(text, **CONSTANTS)
    clean(made)
    assert apply(RULE, made.graph) == (1, [])
    assert ops(made) == {"Mul": 3, "Sin": 1, "Add": 1}
    np.testing.assert_allclose(run(made, feeds)["y"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("a = Mul(alpha, x) y = Sin(a)", "readers"),
        ("a = Mul(alpha, x) s = Sin(a) q = Mul(s, x) y = Add(q, x)", "does not square"),
        (
            "a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) y = Add(z, a)",
            "whose sine",
        ),
        (
            "a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Div(inverse, q) y = Add(x, z)",
            "divides by the squared sine",
        ),
        (
            "a = Mul(time, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) y = Add(x, z)",
            "not per channel",
        ),
    ],
)
def test_what_is_no_snake_is_left_with_the_reason(body: str, reason: str) -> None:
    made = model(f"(float[b, 5, n] x) => (float[b, 5, n] y) {{ {body} }}", **CONSTANTS)
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert reason in unmatched[0].reason
