import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from tests.profiles import graphs
from vampnet_models.shapes.tensor_shapes import infer_shapes


def test_shapes_through_arithmetic_on_lengths_equal_the_runtime():
    proto = graphs.conv_chain()
    shapes = infer_shapes(graphs.as_ir(proto), {"audio": (2, 1, 93)})
    ran = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"audio": np.zeros((2, 1, 93), np.float32)}
    )
    assert shapes.unresolved == ()
    assert shapes.tensors["padded"].shape == (2, 1, 96)
    assert shapes.tensors["y"].shape == ran[0].shape


def test_texts_have_a_size():
    proto = graphs.model(
        [
            helper.make_node("Constant", [], ["names"], value_strings=["a", "b"]),
            helper.make_node("Gather", ["names", "i"], ["y"]),
            helper.make_node("Identity", ["x"], ["z"]),
        ],
        [("x", TensorProto.STRING, ["n"]), ("i", TensorProto.INT64, ["m"])],
        [("y", TensorProto.STRING, ["m"]), ("z", TensorProto.STRING, ["n"])],
        {},
    )
    shapes = infer_shapes(graphs.as_ir(proto), {"x": (3,), "i": (5,)})
    assert [shapes.tensors[name].shape for name in "yz"] == [(5,), (3,)]
    assert shapes.tensors["y"].bytes > shapes.tensors["z"].bytes > 0


def test_contrib_operators_have_shapes():
    proto = graphs.model(
        [
            helper.make_node(
                "MatMulNBits",
                ["x", "w", "s"],
                ["a"],
                domain="com.microsoft",
                K=32,
                N=48,
                bits=4,
                block_size=32,
            ),
            helper.make_node("SimplifiedLayerNormalization", ["a", "g"], ["n"]),
            helper.make_node(
                "MultiHeadAttention", ["n", "n", "n"], ["y"], domain="com.microsoft", num_heads=4
            ),
        ],
        [("x", graphs.FLOAT, [1, "frames", 32])],
        [("y", graphs.FLOAT, [1, "frames", 48])],
        {
            "w": np.zeros((48, 1, 16), np.uint8),
            "s": np.ones(48, np.float32),
            "g": np.ones(48, np.float32),
        },
        contrib=True,
    )
    shapes = infer_shapes(graphs.as_ir(proto), {"x": (1, 7, 32)})
    assert shapes.unresolved == ()
    assert shapes.tensors["y"].shape == (1, 7, 48)
    assert shapes.tensors["y"].dtype == ir.DataType.FLOAT


@pytest.mark.parametrize("last", [0, 1])
def test_the_runtimes_integer_convolution_with_channels_first_or_last(last):
    node = helper.make_node(
        "QLinearConv",
        ["x", "s", "z", "w", "s", "wz", "s", "z"],
        ["y"],
        domain="com.microsoft",
        channels_last=last,
        strides=[2],
        pads=[1, 1],
    )
    data, made = ([1, 20, 8], [1, 10, 16]) if last else ([1, 8, 20], [1, 16, 10])
    proto = graphs.model(
        [node],
        [("x", TensorProto.UINT8, data)],
        [("y", TensorProto.UINT8, made)],
        {
            "s": np.float32(0.1),
            "z": np.uint8(128),
            "w": np.zeros((16, 8, 3), np.int8),
            "wz": np.int8(0),
        },
        contrib=True,
    )
    shapes = infer_shapes(graphs.as_ir(proto), {"x": tuple(data)})
    feeds = {"x": np.zeros(data, np.uint8)}
    (ran,) = ort.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run(None, feeds)
    assert shapes.unresolved == ()
    assert shapes.tensors["y"].shape == ran.shape == tuple(made)
    assert shapes.tensors["y"].dtype == ir.DataType.UINT8


def test_what_cannot_be_told_is_listed_with_what_follows_it():
    proto = graphs.model(
        [
            helper.make_node("NonZero", ["x"], ["i"], name="finder"),
            helper.make_node("Cast", ["i"], ["y"], name="after", to=TensorProto.FLOAT),
        ],
        [("x", graphs.FLOAT, ["n"])],
        [("y", graphs.FLOAT, [1, "m"])],
    )
    shapes = infer_shapes(graphs.as_ir(proto), {"x": (5,)})
    assert [u.node for u in shapes.unresolved] == ["finder", "after"]
    assert "only when it runs" in shapes.unresolved[0].reason
    assert "input i is unknown" in shapes.unresolved[1].reason


def test_missing_input_shape_is_named():
    with pytest.raises(KeyError, match="input x"):
        infer_shapes(graphs.as_ir(graphs.matmul()), {})


FORMS = {
    "Constant": "n = Constant <value = int64[2] {3, 1}> () y = Expand(x, n)",
    "ConstantOfShape": "n = Shape(x) y = ConstantOfShape(n)",
    "Range": "n = Size(x) y = Range(zero, n, one)",
    "a bound left out": "y = Clip(x, , top)",
    "FusedMatMul A": "y = com.microsoft.FusedMatMul <transA = 1> (square, square)",
    "FusedMatMul B": "y = com.microsoft.FusedMatMul <transB = 1> (rows, square)",
    "keys by head": "q = Expand(x, of3) y = com.microsoft.MultiHeadAttention <num_heads = 2> "
    "(q, keys, keys)",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [8, 9_000])
def test_shapes_of_other_forms_equal_the_runtimes(form, length):
    """Of few elements, which are evaluated, and of many, which are not."""
    width = 8 if "keys" in form else length
    constants = {
        "zero": np.array(0),
        "one": np.array(1),
        "top": np.float32(0.5),
        "square": np.zeros((4, 4), np.float32),
        "rows": np.zeros((3, 4), np.float32),
        "of3": np.array([2, 5, 8]),
        "keys": np.zeros((2, 2, 7, 4), np.float32),
    }
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> '
        f"g (float[n] x) => (y) {{ {FORMS[form]} }}"
    )
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(v, k) for k, v in constants.items() if k in FORMS[form]
    )
    shapes = infer_shapes(graphs.as_ir(proto), {"x": (width,)})
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (ran,) = session.run(None, {"x": np.zeros(width, np.float32)})
    assert shapes.unresolved == ()
    assert shapes.tensors["y"].shape == ran.shape
    assert shapes.tensors["y"].dtype == ir.DataType.from_numpy(ran.dtype)


def test_a_constant_that_is_listed_as_an_input_needs_no_shape():
    proto = graphs.matmul()
    weight = proto.graph.initializer[0]
    proto.graph.input.append(
        helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
    )
    shapes = infer_shapes(graphs.as_ir(proto), {"x": (3, weight.dims[0])})
    assert shapes.tensors["y"].shape == (3, weight.dims[1])


def test_an_operator_that_nobody_knows_is_named():
    proto = graphs.model(
        [
            helper.make_node("Twice", ["x"], ["y"], name="own", domain="mine"),
            helper.make_node("MatMulNBits", ["x"], ["z"], name="few", domain="com.microsoft", N=4),
            helper.make_node(
                "QLinearAdd", ["x", "", "", ""], ["w"], name="none", domain="com.microsoft"
            ),
        ],
        [("x", graphs.FLOAT, ["n"])],
        [("z", graphs.FLOAT, ["n"])],
        {},
        contrib=True,
    )
    shapes = infer_shapes(graphs.as_ir(proto), {"x": (5,)})
    reasons = {each.node: each.reason for each in shapes.unresolved}
    assert reasons == {
        "own": "no shape rule for mine.Twice",
        "none": "ValueError: input 3 is missing",
    }
