import numpy as np

from optimize.fusions.cleanup import clean
from tests.optimize.graphs import model, normal, ops, run


def test_constants_fold_and_lengths_stay_dynamic() -> None:
    text = """(float[b, n] x) => (float[b, m] y) {
     e = Add(a, eps) r = Reciprocal(e) i = Identity(x) z = Mul(i, r) dead = Neg(z)
     s = Shape(x) t = Shape(x) d = Concat <axis = 0> (s, t)
     f = Gather(d, first) y = Reshape(z, f) }"""
    weights = {"a": np.float32(3), "eps": np.float32(1), "first": np.array([0, 3])}
    made = model(text, **weights)
    assert clean(made) > 0
    found = ops(made)
    assert not {"Reciprocal", "Identity", "Neg"} & set(found)
    for length in (3, 9):
        x = normal(2, length)
        np.testing.assert_allclose(run(made, {"x": x})["y"], x / 4, atol=1e-6)


def test_large_weights_are_not_read() -> None:
    made = model("(float[b, 300] x) => (float[b, 300] y) { y = MatMul(x, w) }", w=normal(300, 300))
    value = made.graph.initializers["w"]
    tensor = value.const_value
    clean(made)
    assert made.graph.initializers["w"].const_value is tensor
