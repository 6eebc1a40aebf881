"""Lists that a few bytes declare are not written out."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vampnet_models.onnxfile import followed
from vampnet_models.onnxfile.followed import infer_shapes


def model(nodes, constants, shape=None):
    """`y` as the last of these nodes makes it, of one input that nothing but lists reads."""
    made = helper.make_graph(
        nodes,
        "lists",
        [helper.make_tensor_value_info("x", TensorProto.INT64, shape or ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
        [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])


def node(op_type, inputs, output, **attributes):
    return helper.make_node(op_type, inputs, [output], **attributes)


END = node("Add", ["r", "one"], "y")
LONG = [
    ("Range", [node("Range", ["zero", "long", "one"], "r"), END], None),
    (
        "product",
        [node("Mul", ["long", "long"], "s"), node("Range", ["zero", "s", "one"], "r"), END],
        None,
    ),
    (
        "computed size",
        [node("Mul", ["sizes", "one"], "s"), node("Expand", ["one", "s"], "r"), END],
        None,
    ),
    ("input", [node("Add", ["x", "one"], "y")], [1 << 40]),
    (
        "doubling",
        [node("Concat", [f"t{k}" if k else "sizes"] * 2, f"t{k + 1}", axis=0) for k in range(40)]
        + [node("Add", ["t40", "one"], "y")],
        None,
    ),
]
CONSTANTS = {"zero": 0, "one": 1, "long": 1 << 40, "sizes": [1 << 40]}


@pytest.fixture
def propagations(monkeypatch: pytest.MonkeyPatch):
    """Whether each inference was asked to propagate values; none that is gets through."""
    asked: list[bool] = []

    def recorded(proto, *, strict_mode=False, data_prop=False):
        asked.append(data_prop)
        if data_prop:
            return proto
        return plain(proto, strict_mode=strict_mode)

    plain = onnx.shape_inference.infer_shapes
    monkeypatch.setattr(followed.shape_inference, "infer_shapes", recorded)
    return asked


@pytest.mark.parametrize(("nodes", "shape"), [c[1:] for c in LONG], ids=[c[0] for c in LONG])
def test_long_lists_are_not_followed(propagations, nodes, shape):
    infer_shapes(model(nodes, CONSTANTS, shape))
    assert propagations == [False, False]


def test_shape_arithmetic_is_followed():
    nodes = [
        node("Shape", ["x"], "s"),
        node("Concat", ["s", "sizes"], "r", axis=0),
        node("Expand", ["one", "r"], "y"),
    ]
    made = infer_shapes(model(nodes, {"sizes": [3], "one": 1}, [5, 7]))
    (y,) = made.graph.output
    assert [dim.dim_value for dim in y.type.tensor_type.shape.dim] == [5, 7, 3]
