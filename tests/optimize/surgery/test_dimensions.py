import numpy as np
import pytest

from optimize.surgery.dimensions import dimensions
from tests.optimize.graphs import model, normal

WEIGHTS = {
    "two": np.array([2]),
    "zero": np.int64(0),
    "one": np.int64(1),
    "at": np.array([1]),
    "w": normal(4, 4, 1),
    "wide": normal(4, 4, 3),
}
ROUNDS = {
    "transposed twice": "t = Transpose<perm = [0, 2, 1]>(x) z = Transpose<perm = [0, 2, 1]>(t)",
    "reshaped by its shape": "n = Shape(x) z = Reshape(x, n)",
    "made of its shape": "n = Shape(x) z = ConstantOfShape(n)",
    "a point convolution": "z = Conv(x, w)",
    "squeezed": "u = Unsqueeze(x, at) z = Squeeze(u, at)",
    "reshaped by parts": """n = Shape(x) a = Gather(n, zero) b = Unsqueeze(a, at0)
     c = Shape<start = 1>(x) d = Concat<axis = 0>(b, c) z = Reshape(x, d)""",
    "summed with itself": "a = Neg(x) z = Add(a, x)",
    "outer product of itself": """r = ReduceSum<keepdims = 1>(x, at)
     o = Einsum<equation = "bit,bkt->bkt">(r, x) z = Neg(o)""",
}


@pytest.mark.parametrize("kind", ROUNDS)
def test_a_dimension_is_followed_to_where_it_arose(kind: str) -> None:
    text = f"(float[b, 4, t] x) => (float[n, m, k] y) {{ {ROUNDS[kind]} y = Neg(z) }}"
    made = model(text, **WEIGHTS, at0=np.array([0]))
    found = dimensions(made.graph)
    assert found.of(made.graph.outputs[0]) == found.of(made.graph.inputs[0])


@pytest.mark.parametrize(
    "nodes",
    ["z = Conv(x, wide)", "z = Concat<axis = 2>(x, x)", "z = Slice(x, at, two, two)"],
)
def test_another_length_is_another_dimension(nodes: str) -> None:
    text = f"(float[b, 4, t] x) => (float[b, m, k] y) {{ {nodes} y = Neg(z) }}"
    made = model(text, **WEIGHTS)
    found = dimensions(made.graph)
    x, y = found.of(made.graph.inputs[0]), found.of(made.graph.outputs[0])
    assert x is not None
    assert y is not None
    assert x[0] == y[0]
    assert x[2] != y[2]


def test_what_was_broadcast_holds_each_of_its_parts() -> None:
    text = "(float[b, t] x, float[b, s] z) => (float[b, n] y) { y = Add(x, z) }"
    made = model(text)
    found, (x, z), (y,) = dimensions(made.graph), made.graph.inputs, made.graph.outputs
    assert found.fits(x, y)
    assert found.fits(z, y)
    assert not found.fits(x, z)
    assert not found.fits(y, x)
