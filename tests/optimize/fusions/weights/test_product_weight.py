import numpy as np
import pytest

from optimize.fusions.rule import apply
from optimize.fusions.weights.product_weight import RULE
from optimize.surgery.unused import remove_unused
from tests.optimize.graphs import check, model, normal, ops, run


def axes(rank: int) -> str:
    """Names for the axes of an output."""
    return ", ".join("abcdefgh"[:rank])


@pytest.mark.parametrize(
    ("x", "shape"), [("5, 64", (1, 64, 32)), ("3, 5, 64", (1, 64, 32)), ("5, 64", (1, 1, 64, 32))]
)
def test_leading_axes_of_one_go_and_the_result_keeps_its_own(
    x: str, shape: tuple[int, ...]
) -> None:
    rank = max(len(shape), x.count(",") + 1)
    text = f"(float[{x}] x) => (float[{axes(rank)}] y) {{ y = MatMul(x, w) }}"
    feeds = {"x": normal(*(int(size) for size in x.split(",")))}
    expected = run(model(text, w=normal(*shape)), feeds)["y"]
    made = model(text, w=normal(*shape))
    assert apply(RULE, made.graph) == (1, [])
    remove_unused(made)
    assert made.graph.initializers["w.matrix"].shape == (64, 32)
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=1e-4, atol=1e-5)
    check(made)


@pytest.mark.parametrize(("x", "shape"), [("32, 5", (64, 32)), ("2, 3, 32, 5", (1, 64, 32))])
def test_a_constant_goes_to_the_right(x: str, shape: tuple[int, ...]) -> None:
    rank = max(len(shape), x.count(",") + 1)
    text = f"(float[{x}] x) => (float[{axes(rank)}] y) {{ y = MatMul(w, x) }}"
    feeds = {"x": normal(*(int(size) for size in x.split(",")))}
    expected = run(model(text, w=normal(*shape)), feeds)["y"]
    made = model(text, w=normal(*shape))
    assert apply(RULE, made.graph) == (1, [])
    assert ops(made) == {"Transpose": 2, "MatMul": 1}
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=1e-4, atol=1e-5)
    check(made)


def test_small_constants_stacks_and_vectors_stay() -> None:
    outputs = "float[3, 4] a, float[2, 3, 32] b, float[64] c, float[3, 64] d"
    text = f"""(float[3, 64] x, float[64] v) => ({outputs}) {{
     a = MatMul(x, few) b = MatMul(x, stack) c = MatMul(long, v) d = MatMul(x, w) }}"""
    made = model(
        text, few=normal(1, 64, 4), stack=normal(2, 64, 32), long=normal(64, 64), w=normal(64, 64)
    )
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert [each.reason for each in unmatched] == [
        "v: has not two axes or more, as far as is known"
    ]
