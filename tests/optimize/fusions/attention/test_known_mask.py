import numpy as np
import pytest

from optimize.fusions.attention.known_mask import RULE
from optimize.fusions.rule import apply
from tests.optimize.graphs import check, model, normal, ops, run

FILL = {
    "fill": np.float32(-1e9),
    "zero": np.int64(0),
    "last": np.array([-1]),
    "first": np.array([0]),
}
FILL |= {"one": np.array([1]), "true": np.array([True])}
MADE = {
    "ones of a shape": "n = Shape(x) k = ConstantOfShape<value = bool[1] {1}>(n) d = Not(k)",
    "expanded": "n = Shape(x) k = Expand(true, n) d = Not(k)",
    "compared": "n = Shape(x) k = ConstantOfShape<value = int64[1] {1}>(n) d = Equal(k, zero)",
    "a row of it": """n = Shape(x) k = ConstantOfShape<value = bool[1] {1}>(n)
     r = Slice(k, first, one, one) c = Cast<to = 7>(r) d = Equal(c, zero)""",
}


@pytest.mark.parametrize("kind", MADE)
def test_a_mask_of_any_length_that_keeps_all_disappears(kind: str) -> None:
    text = f"""(float[b, 3, t] x) => (float[b, 3, t] y) {{
     s = Neg(x) {MADE[kind]} w = Where(d, fill, s) y = Softmax(w) }}"""
    fused = model(text, **FILL)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused) == {"Neg": 1, "Softmax": 1}
    feeds = {"x": normal(2, 3, 5)}
    np.testing.assert_array_equal(run(fused, feeds)["y"], run(model(text, **FILL), feeds)["y"])
    check(fused)


def test_a_bias_of_zeros_disappears() -> None:
    text = """(float[b, t, t] x, float[b, t] z) => (float[b, t, t] y) {
     s = Neg(x) n = Shape(z) k = ConstantOfShape<value = float[1] {1.0}>(n) o = Sub(k, k)
     m = Mul(o, fill) u = Unsqueeze(m, one) a = Add(s, u) y = Softmax(a) }"""
    fused = model(text, **FILL)
    assert apply(RULE, fused.graph) == (1, [])
    assert ops(fused) == {"Neg": 1, "Softmax": 1}


@pytest.mark.parametrize(
    ("interface", "made"),
    [
        ("float[b, 3, t] x, float[c, 3, t] z", "n = Shape(z)"),
        ("float[b, 3, t] x, float[2, b, 3, t] z", "n = Shape(z)"),
    ],
)
def test_a_mask_that_may_widen_the_scores_stays(interface: str, made: str) -> None:
    text = f"""({interface}) => (float[n, 3, t] y) {{
     s = Neg(x) {made} k = ConstantOfShape<value = bool[1] {{1}}>(n) d = Not(k)
     w = Where(d, fill, s) y = Softmax(w) }}"""
    count, unmatched = apply(RULE, model(text, **FILL).graph)
    assert count == 0
    assert "may widen s" in unmatched[0].reason


def test_a_mask_that_is_not_known_is_no_candidate() -> None:
    text = """(float[b, t] x, bool[b, t] m) => (float[b, t] y) {
     s = Neg(x) w = Where(m, s, fill) y = Softmax(w) }"""
    assert apply(RULE, model(text, **FILL).graph) == (0, [])
