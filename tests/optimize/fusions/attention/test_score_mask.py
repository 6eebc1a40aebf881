import numpy as np
import pytest

from optimize.fusions.attention import relative_attention
from optimize.fusions.attention.score_mask import RULE
from optimize.fusions.rule import apply
from tests.optimize.fusions.attention.test_relative_attention import (
    HEADS,
    MERGE,
    PROJECTIONS,
    SPLIT,
    WIDTH,
    weights,
)
from tests.optimize.graphs import model, normal, ops, run

BATCH, LENGTH = 3, 6
SCORES = "s = MatMul(qh, kh) a = Mul(s, scale)"
SOFTMAX = "p = Softmax<axis = -1>(f)"
FORMS = {
    "fill of scores and bias": f"{SCORES} c = Add(a, bias) f = Where(hide, fill, c)",
    "kept scores and bias": f"{SCORES} c = Add(bias, a) f = Where(hide, c, fill)",
    "fill of scores alone": f"{SCORES} f = Where(hide, fill, a)",
}
MASKS = {"of keys": (BATCH, 1, 1, LENGTH), "of pairs": (LENGTH, LENGTH), "of all": (1, LENGTH)}


def attention(form: str, mask: str) -> str:
    dims = {BATCH: "b", LENGTH: "t"}
    shape = ", ".join(str(dims.get(size, size)) for size in MASKS[mask])
    return (
        f"(float[b, t, {WIDTH}] x, float[1, {HEADS}, t, t] bias, bool[{shape}] hide) "
        f"=> (float[b, t, {WIDTH}] y) {{ {PROJECTIONS} {SPLIT} {FORMS[form]} {SOFTMAX} {MERGE} }}"
    )


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fill", [-1e9, float(np.finfo(np.float32).min), -1e4])
def test_any_mask_becomes_a_part_of_the_bias_exactly(form: str, mask: str, fill: float) -> None:
    text, held = attention(form, mask), weights() | {"fill": np.float32(fill)}
    hide = np.random.default_rng(0).integers(0, 2, MASKS[mask]).astype(bool)
    hide[0] = "fill" in form  # a row without anything to see
    feeds = {
        "x": normal(BATCH, LENGTH, WIDTH),
        "bias": normal(1, HEADS, LENGTH, LENGTH, seed=5),
        "hide": hide,
    }
    fused = model(text, **held)
    assert apply(RULE, fused.graph) == (1, [])
    assert apply(relative_attention.RULE, fused.graph) == (1, [])
    assert ops(fused)["MultiHeadAttention"] == 1
    expected = run(model(text, **held), feeds)["y"]
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


def test_infinite_fills_stay_infinite() -> None:
    text = attention("fill of scores and bias", "of keys")
    held = weights() | {"fill": np.float32(-np.inf)}
    hide = np.zeros(MASKS["of keys"], bool)
    hide[1, ..., 3:] = True
    feeds = {
        "x": normal(BATCH, LENGTH, WIDTH),
        "bias": normal(1, HEADS, LENGTH, LENGTH, seed=5),
        "hide": hide,
    }
    fused = model(text, **held)
    assert apply(RULE, fused.graph) == (1, [])
    apply(relative_attention.RULE, fused.graph)
    expected = run(model(text, **held), feeds)["y"]
    np.testing.assert_allclose(run(fused, feeds)["y"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "fill", "reason"),
    [
        (f"{SCORES} f = Where(hide, fill, a)", -100.0, "fills -100, which is no mask"),
        (f"{SCORES} f = Where(hide, a, bias)", 0.0, "not a fill and scores"),
    ],
)
def test_what_is_no_mask_stays_with_the_reason(nodes: str, fill: float, reason: str) -> None:
    text = attention("fill of scores alone", "of keys").replace(
        FORMS["fill of scores alone"], nodes
    )
    made = model(text, **weights(), fill=np.float32(fill))
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert reason in unmatched[0].reason


def test_one_masked_bias_serves_every_layer() -> None:
    text = """(float[b, t, t] x, float[1, t, t] bias, bool[b, 1, t] hide) => (float[b, t, t] y) {
     s = MatMul(x, x) c = Add(s, bias) f = Where(hide, fill, c) p = Softmax(f)
     r = MatMul(p, p) d = Add(r, bias) g = Where(hide, fill, d) y = Softmax(g) }"""
    made = model(text, fill=np.float32(-1e9))
    assert apply(RULE, made.graph) == (2, [])
    assert ops(made)["Where"] == 1
    feeds = {"x": normal(2, 4, 4), "bias": normal(1, 4, 4), "hide": np.ones((2, 1, 4), bool)}
    feeds["hide"][0, :, :2] = False
    np.testing.assert_allclose(
        run(made, feeds)["y"], run(model(text, fill=np.float32(-1e9)), feeds)["y"], atol=1e-6
    )
