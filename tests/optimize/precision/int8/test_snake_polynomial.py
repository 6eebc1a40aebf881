import numpy as np

from optimize.precision.int8.snake_polynomial import insert_snake
from optimize.surgery.graph import substitute
from optimize.surgery.unused import remove_unused
from tests.optimize.graphs import model, normal, ops, run

ALPHA = np.abs(normal(1, 5, 1, seed=2)) + np.float32(0.2)


def test_it_is_snake_within_a_thousandth_over_many_periods() -> None:
    made = model("(float[b, 5, n] x) => (float[b, 5, n] y) { y = Neg(x) }")
    node = next(iter(made.graph))
    x = made.graph.inputs[0]
    substitute(node.outputs[0], insert_snake(node, x, ALPHA, 1 / ALPHA, "snake"))
    remove_unused(made)
    assert ops(made)["Sin"] == 0
    values = 8 * normal(2, 5, 400)
    values[:, :, 0] = 0
    found = run(made, {"x": values})["y"]
    expected = values + np.sin(ALPHA * values.astype(np.float64)) ** 2 / ALPHA
    assert np.abs((found - expected) * ALPHA).max() < 0.001
    assert (found[:, :, 0] == 0).all()
