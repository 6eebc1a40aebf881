import numpy as np
import pytest

from optimize.fusions.rule import apply
from optimize.fusions.weights import lora_weight, transposed_weight
from tests.optimize.graphs import model, normal, ops, run

HEAD = "(float[b, t, 6] x) => (float[b, t, 8] y)"
FORMS = {
    "product": "p = MatMul(b, a) s = Mul(p, half) w = Add(weight, s)",
    "multiplied out": "s = Mul(half, whole) w = Add(s, weight)",
    "divided": "p = MatMul(b, a) s = Div(p, two) w = Add(weight, s)",
    "no scale": "p = MatMul(b2, a) w = Add(weight, p)",
}
LINEAR = " t = Transpose <perm = [1, 0]> (w) y = MatMul(x, t)"


def weights() -> dict[str, np.ndarray]:
    up, down = normal(8, 2, seed=1), normal(2, 6, seed=2)
    return {
        "weight": normal(8, 6),
        "b": up,
        "b2": up / 2,
        "a": down,
        "whole": up @ down,
        "half": np.float32(0.5),
        "two": np.float32(2),
    }


@pytest.mark.parametrize("form", FORMS)
def test_the_sum_and_its_transpose_become_one_weight(form: str) -> None:
    text = f"{HEAD} {{ {FORMS[form]} {LINEAR} }}"
    feeds = {"x": normal(2, 5, 6, seed=3)}
    expected = run(model(text, **weights()), feeds)["y"]
    made = model(text, **weights())
    assert apply(lora_weight.RULE, made.graph) == (1, [])
    assert apply(transposed_weight.RULE, made.graph) == (1, [])
    assert dict(ops(made)) == {"MatMul": 1}
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("p = MatMul(b, a) s = Mul(p, row) w = Add(weight, s)", "something else than one number"),
        ("p = MatMul(b, a) s = Div(two, p) w = Add(weight, s)", "divides by the update"),
        ("p = MatMul(flat, a) w = Add(weight, p)", "the update has the shape (1, 6)"),
    ],
)
def test_what_is_no_update_is_left_with_the_reason(body: str, reason: str) -> None:
    more = {"row": normal(1, 6), "flat": normal(1, 2)}
    made = model(f"{HEAD} {{ {body} {LINEAR} }}", **weights(), **more)
    count, (unmatched,) = apply(lora_weight.RULE, made.graph)
    assert count == 0
    assert reason in unmatched.reason
    assert ops(made)["Add"] == 1


def test_a_weight_that_is_also_read_as_it_is_is_not_stored_twice() -> None:
    body = "r = Gather(weight, i) t = Transpose(weight) m = MatMul(x, t) y = Add(m, r)"
    head = "(float[b, t, 6] x, int64[1] i) => (float[b, t, 8] y)"
    made = model(f"{head} {{ {body} }}", weight=normal(8, 6))
    count, (unmatched,) = apply(transposed_weight.RULE, made.graph)
    assert count == 0
    assert "stored twice" in unmatched.reason
