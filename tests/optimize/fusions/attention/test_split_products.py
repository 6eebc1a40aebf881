"""A product that is only split becomes one product per part."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from optimize.fusions.attention.split_products import RULE
from optimize.fusions.order import fuse
from optimize.precision.int8.dynamic import DynamicInt8
from tests.optimize.graphs import convert
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import IR_VERSION, OPSET

WEIGHT = np.random.default_rng(0).standard_normal((32, 40)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((1, 6, 32)).astype(np.float32)


def model(sizes=(22, 18), axis=-1, also_read=False, constant=True):
    """Two outputs of one product `[1, t, 40]`."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
        helper.make_node("Split", ["y", "sizes"], ["a", "b"], axis=axis, name="split"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6, 32])]
    weights = [numpy_helper.from_array(np.array(sizes, np.int64), "sizes")]
    if constant:
        weights.append(numpy_helper.from_array(WEIGHT, "w"))
    else:
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [32, 40]))
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("a", "b")]
    if also_read:
        outputs.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    graph = helper.make_graph(nodes, "split", inputs, outputs, weights)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)


def test_each_part_has_its_own_columns():
    before = model()
    after = ir.from_proto(before)
    assert fuse(after, (RULE,)).counts == {"split_products": 1}
    assert [node.op_type for node in after.graph] == ["MatMul", "MatMul"]
    want = open_session(before.SerializeToString()).run({"x": X})
    got = open_session(ir.to_proto(after).SerializeToString()).run({"x": X})
    for name, columns in (("a", 22), ("b", 18)):
        assert got[name].shape == (1, 6, columns)
        np.testing.assert_allclose(got[name], want[name], atol=1e-5)


def test_the_shared_input_is_quantized_once_for_all_parts():
    made = ir.from_proto(model())
    fuse(made, (RULE,))
    convert(made, DynamicInt8())
    kinds = [node.op_type for node in made.graph]
    assert kinds.count("DynamicQuantizeLinear") == 1
    assert kinds.count("MatMulInteger") == 2
    got = open_session(ir.to_proto(made).SerializeToString()).run({"x": X})
    np.testing.assert_allclose(got["a"], X @ WEIGHT[:, :22], atol=0.2)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"also_read": True}, "graph output"),
        ({"constant": False}, "has no constant matrix"),
        ({"axis": 1, "sizes": (4, 2)}, "does not split the columns"),
    ],
)
def test_what_cannot_be_taken_apart_stays_with_a_reason(changed, reason):
    before = model(**changed)
    after = ir.from_proto(before)
    fusion = fuse(after, (RULE,))
    assert fusion.counts == {"split_products": 0}
    assert reason in fusion.unmatched[0].reason
    assert [node.op_type for node in after.graph] == ["MatMul", "Split"]
    onnx.checker.check_model(ir.to_proto(after))
