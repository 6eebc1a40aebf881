import numpy as np
import pytest

from optimize.fusions.rule import apply
from optimize.fusions.weights.widened_weight import RULE
from tests.optimize.graphs import model, normal, ops, run


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_a_cast_weight_becomes_a_constant_once_for_its_readers(dtype: type) -> None:
    text = """(float[n, 8] x) => (float[n, 8] y) {
     w = Cast<to = 1>(stored) a = MatMul(x, w) v = Cast<to = 1>(stored) y = MatMul(a, v) }"""
    weights, feeds = {"stored": normal(8, 8).astype(dtype)}, {"x": normal(2, 8)}
    expected = run(model(text, **weights), feeds)["y"]
    made = model(text, **weights)
    assert apply(RULE, made.graph) == (2, [])
    assert ops(made) == {"MatMul": 2}
    assert [n for n, v in made.graph.initializers.items() if v.uses()] == ["stored.float32"]
    np.testing.assert_array_equal(run(made, feeds)["y"], expected)


def test_what_others_read_than_as_a_weight_stays_cast() -> None:
    text = """(float[n, 8] x) => (float[n, 8] y, float[8, 8] out) {
     w = Cast<to = 1>(stored) y = Add(x, w) out = Cast<to = 1>(other) }"""
    made = model(text, stored=normal(8).astype(np.float16), other=normal(8, 8).astype(np.float16))
    count, unmatched = apply(RULE, made.graph)
    assert count == 0
    assert [each.reason for each in unmatched] == [
        "Add add_1 reads it, not as a weight",
        "out is a graph output",
    ]
