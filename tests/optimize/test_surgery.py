"""Cleaning up keeps every graph's inputs and outputs, and what they answer."""

import numpy as np
import onnx_ir as ir
import pytest

from optimize.fusions.cleanup import clean
from tests.optimize.graphs import model, normal, ops, run

W = normal(4, 4)

EQUAL_OUTPUTS = """(float[n, 4] x) => (float[n, 4] a, float[n, 4] b, float[n, 4] c) {
 a = Neg(x) b = Neg(x) d = Neg(x) c = MatMul(d, w) }"""

PASSED_ON = """(float[n, 4] x, bool c) => (float[n, 4] y, float[n, 4] h) {
 h = MatMul(x, w)
 i = If (c) <then_branch = t () => (float[n, 4] p) { p = Relu(h) },
             else_branch = e () => (float[n, 4] q) { q = Identity(h) }>
 y = MatMul(i, w) }"""

TWICE = """(float[n, 4] x, bool c) => (float[n, 4] y, float[n, 4] z) {
 y0, z = If (c) <
  then_branch = t () => (float[n, 4] p, float[n, 4] q) { p = Relu(x) q = Relu(x) },
  else_branch = e () => (float[n, 4] r, float[n, 4] s) { r = Neg(x) s = Identity(r) }>
 y = Neg(y0) }"""

SCAN = """(float[4] first, float[n, 4] x) => (float[4] last, float[n, 4] all) {
 last, all = Scan <num_scan_inputs = 1,
  body = b (float[4] state, float[4] one) => (float[4] next, float[4] out) {
   next = Add(state, one) out = Add(state, one) }> (first, x) }"""

LOOP = """(float[n, 4] x) => (float[n, 4] y, float[k, n, 4] seen) {
 five = Constant <value_int = 5> () yes = Constant <value = bool {1}> ()
 y, seen = Loop (five, yes, x) <body = b (int64 i, bool going, float[n, 4] v) =>
  (bool go, float[n, 4] next, float[n, 4] scan) {
   go = Identity(going) next = MatMul(v, w) scan = Identity(next) }> }"""

CONSTANTS = """(float[n, 4] x, bool c) => (float[4, 4] y, float[n, 4] z) {
 y, z = If (c) <
  then_branch = t () => (float[4, 4] p, float[n, 4] q) { p = Identity(w) q = Relu(x) },
  else_branch = e () => (float[4, 4] r, float[n, 4] s) { r = Neg(w) s = Identity(x) }> }"""

CONSTANT_IF = """(float[n, 4] x) => (float[n, 4] y, float[n, 4] x2, float[n, 4] h) {
 yes = Constant <value = bool {1}> () h = MatMul(x, w)
 y, x2 = If (yes) <
  then_branch = t () => (float[n, 4] p, float[n, 4] q) { p = Relu(h) q = Identity(h) },
  else_branch = e () => (float[n, 4] r, float[n, 4] s) { r = Neg(h) s = Neg(x) }> }"""


@pytest.mark.parametrize("text", [EQUAL_OUTPUTS, PASSED_ON, TWICE, SCAN, LOOP, CONSTANTS])
def test_outputs_of_every_graph_stay(text: str) -> None:
    made = model(text, **({"w": W} if "w" in text else {}))
    feeds = {"x": normal(3, 4), "first": normal(4), "c": np.array(True)}
    feeds = {v.name: feeds[v.name] for v in made.graph.inputs if v.name}
    cases = [feeds, feeds | {"c": np.array(False)}] if "c" in feeds else [feeds]
    expected = [run(made, each) for each in cases]
    names = [[v.name for v in graph.outputs] for graph in made.graphs()]
    clean(made)
    assert [len(graph.outputs) for graph in made.graphs()] == [len(each) for each in names]
    assert [v.name for v in made.graph.outputs] == names[0]
    for graph in made.graphs():
        assert len(set(map(id, graph.outputs))) == len(graph.outputs)
        assert all(v.producer() is not None for v in graph.outputs)
    for each, wanted in zip(cases, expected, strict=True):
        found = run(made, each)
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values)


def test_equal_nodes_become_one_where_their_outputs_may() -> None:
    made = model(EQUAL_OUTPUTS, w=W)
    clean(made)
    assert ops(made) == {"Neg": 2, "MatMul": 1}


def test_an_if_of_a_constant_condition_is_its_branch() -> None:
    made = model(CONSTANT_IF, w=W)
    expected = run(made, {"x": normal(3, 4)})
    clean(made)
    assert ops(made) == {"MatMul": 1, "Relu": 1, "Identity": 1}
    found = run(made, {"x": normal(3, 4)})
    assert list(found) == ["y", "x2", "h"]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_what_only_a_dropped_branch_read_goes() -> None:
    text = """(float[n, 4] x) => (float[n, 4] y) { h = MatMul(x, w)
     yes = Constant <value = bool {1}> ()
     y = If (yes) <then_branch = t () => (float[n, 4] p) { p = Relu(x) },
                   else_branch = e () => (float[n, 4] r) { r = Neg(h) }> }"""
    made = model(text, w=W)
    clean(made)
    assert ops(made) == {"Relu": 1}
    assert not made.graph.initializers


@pytest.mark.parametrize(
    "node", ["Bernoulli(x)", "RandomNormalLike(x)", "RandomUniformLike <low = 0.5> (x)"]
)
def test_two_draws_stay_two(node: str) -> None:
    text = f"(float[n, 4] x) => (float[n, 4] y) {{ a = {node} b = {node} y = Sub(a, b) }}"
    made = model(text)
    clean(made)
    assert made.graph.num_nodes() == 3


@pytest.mark.parametrize(
    "text",
    [
        "z = ConstantOfShape(size) y = Slice(z, zero, one)",
        "z = Expand(one, size) y = Slice(z, zero, one)",
        "z = Tile(one, size) y = Slice(z, zero, one)",
        "z = Range(zero0, size0, one0) w = Cast <to = 7> (z) y = Slice(w, zero, one)",
    ],
)
def test_a_huge_constant_is_never_made(text: str) -> None:
    weights = {
        "size": np.array([7]),
        "size0": np.array(7),
        "zero": np.array([0]),
        "zero0": np.array(0),
        "one": np.array([1]),
        "one0": np.array(1),
    }
    made = model(f"(float[1] x) => (float[1] y) {{ {text} }}", **weights)
    for node in made.graph:
        for value in node.outputs:
            value.shape = None
    for name in {"size", "size0"} & set(made.graph.initializers):
        huge = np.full(np.shape(weights[name]), 10**13)
        made.graph.initializers[name].const_value = ir.Tensor(huge)
    clean(made)
    assert all(value.const_value.size < 9 for value in made.graph.initializers.values())


def test_attributes_tell_nodes_apart() -> None:
    text = """(float[n, 4] x) => (float[n, 4] y) {
     a = LeakyRelu <alpha = 0.0> (x) b = LeakyRelu <alpha = -0.0> (x) c = LeakyRelu(x)
     d = Add(a, b) y = Add(c, d) }"""
    made = model(text)
    clean(made)
    assert ops(made)["LeakyRelu"] == 3


def test_an_input_keeps_its_declared_shape() -> None:
    made = model("(float[n, 4] x) => (float[3, 4] y) { i = Identity(x) y = Neg(i) }")
    clean(made)
    assert isinstance(made.graph.inputs[0].shape[0], ir.SymbolicDim)


def test_a_cast_that_does_not_saturate_still_does_not() -> None:
    text = """(float[n] x) => (float[n] y) {
     like = Constant <value = float16[1] {0}> () h = CastLike <saturate = 0> (x, like)
     plain = CastLike (h, one) y = Identity(plain) }"""
    made = model(text, one=np.ones(1, np.float32))
    clean(made)
    assert ops(made) == {"CastLike": 1, "Cast": 1}
    kept = next(node for node in made.graph if node.op_type == "CastLike")
    assert kept.attributes["saturate"].as_int() == 0


def test_texts_stay_what_they_are() -> None:
    made = model("""(int64[n] i) => (string[n] y, string[k] z) {
     t = Constant <value_strings = ["a", "\u00e9"]> () y = Gather(t, i)
     u = Constant <value_string = "b"> () a = Constant <value_ints = [1]> ()
     z = Reshape(u, a) }""")
    clean(made)
    found = run(made, {"i": np.array([1, 0])})
    assert found["y"].tolist() == ["\u00e9", "a"] and found["z"].tolist() == ["b"]
