"""If, Loop and Scan in float16: outer values, weights inside, interfaces of both types."""

import numpy as np
import pytest

from optimize.precision.fp16.convert import Float16
from tests.optimize.graphs import check, convert, model, normal, run, snr_db

X = {"x": normal(4, 32)}
W = {"w": normal(32, 32) / 6, "v": normal(32, 32, seed=1) / 6, "n": np.int64(3)}
BODIES = {
    "If": """(float[b, 32] x) => (float[b, 32] y) {
     h = MatMul(x, w) k = ReduceMax<keepdims = 0>(h) c = Greater(k, s)
     i = If(c) <then_branch = t () => (float[b, 32] p) { q = MatMul(h, v) p = Tanh(q) },
                else_branch = e () => (float[b, 32] r) { r = Exp(h) }>
     y = MatMul(i, w) }""",
    "If of float16 branches": """(float[b, 32] x) => (float[b, 32] y) {
     h = MatMul(x, w) k = ReduceMax<keepdims = 0>(h) c = Greater(k, s)
     i = If(c) <then_branch = t () => (float[b, 32] p) { p = Sub(x, h) },
                else_branch = e () => (float[b, 32] r) { r = Relu(h) }>
     y = MatMul(i, w) }""",
    "Loop": """(float[b, 32] x) => (float[b, 32] y) {
     h = MatMul(x, w)
     y = Loop(n, , h) <body = l (int64 i, bool ci, float[b, 32] a) => (bool co, float[b, 32] z) {
       q = MatMul(a, v) co = Identity(ci) f = Cast<to = 1>(i) r = Add(q, f) t = Tanh(r)
       z = Add(t, h) }> }""",
    "Scan": """(float[b, 32] x) => (float[32] f, float[b, 32] y) {
     h = MatMul(x, w)
     f, y = Scan<num_scan_inputs = 1, body = l (float[32] a, float[32] i)
       => (float[32] o, float[32] z) { m = Mul(a, s) o = Add(m, i) z = Neg(o) }>(zeros, h) }""",
    "sequence": """(float[b, 32] x) => (float[b, 32] y) {
     h = MatMul(x, w) q = SplitToSequence<axis = 0, keepdims = 1>(h, one) e = SequenceAt(q, one)
     k = ConcatFromSequence<axis = 0>(q) l = Add(k, e) y = MatMul(l, w) }""",
}
WEIGHTS = {**W, "s": np.float32(0.5), "zeros": np.zeros(32, np.float32), "one": np.int64(1)}


@pytest.mark.parametrize("kind", BODIES)
def test_bodies_are_converted_and_keep_their_interface(kind: str) -> None:
    expected = run(model(BODIES[kind], **WEIGHTS), X)
    for precision in (Float16(), Float16(emulated=True)):
        made = model(BODIES[kind], **WEIGHTS)
        convert(made, precision)
        check(made)
        found = run(made, X)
        assert list(found) == list(expected)
        assert all(snr_db(expected[name], found[name]) > 55 for name in expected)


@pytest.mark.parametrize("kind", BODIES)
def test_interfaces_of_float16_go_with_bodies(kind: str) -> None:
    expected = run(model(BODIES[kind], **WEIGHTS), X)
    made = model(BODIES[kind], **WEIGHTS)
    convert(made, Float16(keep_io=False))
    check(made)
    found = run(made, {"x": X["x"].astype(np.float16)})
    assert {value.dtype for value in found.values()} == {np.dtype(np.float16)}
    assert all(snr_db(expected[name], found[name]) > 50 for name in expected)


def test_a_weight_that_bodies_share_is_stored_once_and_in_float16_alone() -> None:
    text = """(float[b, 32] x, bool c) => (float[b, 32] y) {
     h = MatMul(x, w)
     i = If(c) <then_branch = t () => (float[b, 32] p) { p = MatMul(h, w) },
                else_branch = e () => (float[b, 32] r) { q = MatMul(h, w) r = Tanh(q) }>
     y = MatMul(i, w) }"""
    made = model(text, w=W["w"])
    done = convert(made, Float16())
    assert done.precision == {"float16": 4}
    (weight,) = made.graph.initializers.values()
    assert weight.dtype is not None
    assert weight.dtype.name == "FLOAT16"


def test_a_name_that_is_taken_is_not_given_again() -> None:
    text = """(float[b, 32] x) => (float[b, 32] y) {
     h = MatMul(x, w) k = Add(h, x) y = Neg(k) }"""
    made = model(text, w=W["w"])
    for value, name in zip(
        (n.outputs[0] for n in made.graph), ("x/half.out", "y.half"), strict=False
    ):
        value.name = name
    convert(made, Float16())
    names = [value.name for node in made.graph for value in node.outputs]
    assert len(names) == len(set(names))
    check(made)
