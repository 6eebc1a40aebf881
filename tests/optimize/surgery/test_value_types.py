import numpy as np
import onnx_ir as ir

from optimize.surgery.value_types import fill_types
from tests.optimize.graphs import model, normal


def test_the_runtimes_schemas_tell_what_inference_cannot() -> None:
    made = model(
        """(float[b, 2, 32] x) => (float[b, 2, 32] y) {
         h = com.microsoft.QuickGelu(x) k = com.microsoft.SkipLayerNormalization(h, x, g)
         l = com.microsoft.FusedMatMul(k, w) y = com.microsoft.FastGelu(l) }""",
        g=normal(32),
        w=normal(32, 32),
    )
    fill_types(made.graph)
    values = [node.outputs[0] for node in made.graph]
    assert [value.dtype for value in values] == [ir.DataType.FLOAT] * 4
    values[0].dtype = ir.DataType.FLOAT16
    assert values[1].dtype == ir.DataType.FLOAT


def test_sequences_stay_sequences_through_inference() -> None:
    made = model(
        """(float[b, 4] x) => (float[b, 4] y) {
         s = SplitToSequence<axis = 0, keepdims = 1>(x, o) t = Identity(s)
         y = ConcatFromSequence<axis = 0>(t) }""",
        o=np.int64(1),
    )
    kinds = [type(node.outputs[0].type) for node in made.graph]
    assert kinds == [ir.SequenceType, ir.SequenceType, ir.TensorType]


def test_types_reach_bodies_and_come_back() -> None:
    made = model(
        """(float[b, 4] x, bool c) => (float[b, 4] y) {
         h = com.microsoft.QuickGelu(x)
         i = If(c) <then_branch = t () => (p) { p = com.microsoft.QuickGelu(h) },
                    else_branch = e () => (r) { r = com.microsoft.FastGelu(h) }>
         y = com.microsoft.QuickGelu(i) }"""
    )
    fill_types(made.graph)
    assert {v.dtype for n in made.graph.all_nodes() for v in n.outputs} == {ir.DataType.FLOAT}
