import numpy as np

from optimize.fusions import sum_of_squares
from optimize.fusions.rule import apply
from tests.optimize.graphs import check, model, normal, ops, run

TEXT = "(float[2,3,t] x) => (float[2,1,t] y) { y = ReduceSumSquare<keepdims=1>(x, axes) }"


def test_a_sum_of_squares_becomes_a_product_and_a_sum():
    made = model(TEXT, axes=np.array([1], np.int64))
    feeds = {"x": normal(2, 3, 5)}
    expected = run(made, feeds)["y"]
    assert apply(sum_of_squares.RULE, made.graph) == (1, [])
    assert ops(made) == {"Mul": 1, "ReduceSum": 1}
    check(made)
    np.testing.assert_allclose(run(made, feeds)["y"], expected, rtol=1e-6)


def test_integers_are_left_with_the_reason():
    made = model(TEXT.replace("float", "int32"), axes=np.array([1], np.int64))
    count, left = apply(sum_of_squares.RULE, made.graph)
    assert count == 0
    assert "float32" in left[0].reason
