"""What the tables' notes mean for one node, by the providers' own conditions."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from profiles.count import runtimes
from profiles.count.coverage import coverage
from profiles.count.examine import examine
from tests.profiles import graphs

FLOAT = graphs.FLOAT


@pytest.fixture
def refusal(tmp_path):
    """The reason why `runtime` refuses the last node of `op_type`, or None where it takes it."""

    def ask(proto, runtime, op_type, **inputs):
        examined = examine(graphs.save(proto, tmp_path / "model.onnx"), inputs)
        found = coverage(examined, runtime, runtimes.supports(runtime)).refusals
        return next((r.reason for r in found if r.op_type == op_type), None)

    return ask


def product(a, b, *, constant=True):
    """y = a @ b; `b` a weight, or an input."""
    inputs = [("a", FLOAT, list(a))] + ([] if constant else [("b", FLOAT, list(b))])
    return graphs.model(
        [helper.make_node("MatMul", ["a", "b"], ["y"])],
        inputs,
        [("y", FLOAT, None)],
        {"b": np.ones(b, np.float32)} if constant else {},
    )


@pytest.mark.parametrize("runtime", ["xnnpack", "nnapi", "coreml-neuralnetwork"])
def test_a_sequence_times_a_weight_is_no_2d_product(refusal, runtime):
    sequence = product((1, 6, 8), (8, 4))
    assert "a product of 3D and 2D" in refusal(sequence, runtime, "MatMul", a=(1, 6, 8))
    assert refusal(product((6, 8), (8, 4)), runtime, "MatMul", a=(6, 8)) is None


def test_batches_are_taken_alike_by_nnapi_and_any_by_ml_programs(refusal):
    alike = product((2, 6, 8), (2, 8, 4), constant=False)
    shapes = {"a": (2, 6, 8), "b": (2, 8, 4)}
    assert refusal(alike, "nnapi", "MatMul", **shapes) is None
    assert "only 2D" in refusal(alike, "xnnpack", "MatMul", **shapes)
    spread = product((2, 6, 8), (1, 8, 4), constant=False)
    shapes["b"] = (1, 8, 4)
    assert "alike batches" in refusal(spread, "nnapi", "MatMul", **shapes)
    assert refusal(spread, "coreml-mlprogram", "MatMul", **shapes) is None


@pytest.mark.parametrize("runtime", ["xnnpack", "nnapi", "coreml-neuralnetwork"])
def test_the_second_factor_must_be_a_constant(refusal, runtime):
    computed = product((6, 8), (8, 4), constant=False)
    assert "only constants" in refusal(computed, runtime, "MatMul", a=(6, 8), b=(8, 4))


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [({}, None), ({"alpha": 0.5}, "scales"), ({"transA": 1}, "transposes")],
)
def test_gemm_that_scales_or_transposes(refusal, attributes, refused):
    proto = graphs.model(
        [helper.make_node("Gemm", ["a", "b"], ["y"], **attributes)],
        [("a", FLOAT, [8, 8])],
        [("y", FLOAT, None)],
        {"b": np.ones((8, 8), np.float32)},
    )
    for runtime in ("nnapi", "coreml-mlprogram"):
        said = refusal(proto, runtime, "Gemm", a=(8, 8))
        assert said is None if refused is None else refused in said


def quantized_conv(values, weights):
    """A 2D QDQ convolution with these types of values and weights."""
    point = {"z": np.array(3, values)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "s"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["y"]),
    ]
    return graphs.model(
        nodes,
        [("x", FLOAT, [1, 4, 8, 8])],
        [("y", FLOAT, None)],
        {"s": np.array(0.1, np.float32), "wq": np.ones((4, 4, 3, 3), weights), **point},
    )


def test_xnnpack_has_no_unsigned_values_with_signed_weights(refusal):
    shapes = {"x": (1, 4, 8, 8)}
    mixed = quantized_conv(np.uint8, np.int8)
    assert "uint8 values with int8 weights" in refusal(mixed, "xnnpack", "Conv", **shapes)
    assert refusal(mixed, "nnapi", "Conv", **shapes) is None
    assert refusal(quantized_conv(np.int8, np.int8), "xnnpack", "Conv", **shapes) is None
    assert refusal(quantized_conv(np.uint8, np.uint8), "xnnpack", "Conv", **shapes) is None


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        ({"pads": [1, 1]}, None),
        ({"pads": [1, 2]}, "unequal"),
        ({}, "missing"),
        ({"pads": [1, 1], "output_padding": [1]}, "output_padding"),
        ({"pads": [1, 1], "output_shape": [16]}, "output_shape"),
        ({"auto_pad": "SAME_UPPER"}, "SAME"),
    ],
)
def test_transposed_convolutions_of_ml_programs(refusal, attributes, refused):
    proto = graphs.model(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], **attributes)],
        [("x", FLOAT, [1, 4, 8])],
        [("y", FLOAT, None)],
        {"w": np.ones((4, 4, 4), np.float32)},
    )
    said = refusal(proto, "coreml-mlprogram", "ConvTranspose", x=(1, 4, 8))
    assert said is None if refused is None else refused in said


def test_pow_is_taken_in_float32_alone(refusal):
    for kind, refused in ((FLOAT, None), (TensorProto.FLOAT16, "only float32 is taken")):
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        proto = graphs.model(
            [helper.make_node("Pow", ["x", "e"], ["y"])],
            [("x", kind, [4])],
            [("y", kind, [4])],
            {"e": np.array(2, dtype)},
        )
        assert refusal(proto, "coreml-mlprogram", "Pow", x=(4,)) == refused


def test_softmax_on_xnnpack_wants_the_last_axis(refusal):
    for axis, refused in ((-1, None), (2, None), (1, "its axis is not the last")):
        proto = graphs.model(
            [helper.make_node("Softmax", ["x"], ["y"], axis=axis)],
            [("x", FLOAT, [2, 3, 4])],
            [("y", FLOAT, [2, 3, 4])],
        )
        assert refusal(proto, "xnnpack", "Softmax", x=(2, 3, 4)) == refused


def test_indices_of_nnapi_are_constant_or_int32(refusal):
    for kind, taken in ((TensorProto.INT32, True), (TensorProto.INT64, False)):
        proto = graphs.model(
            [helper.make_node("Gather", ["table", "i"], ["y"])],
            [("i", kind, [3])],
            [("y", FLOAT, None)],
            {"table": np.ones((5, 2), np.float32)},
        )
        assert (refusal(proto, "nnapi", "Gather", i=(3,)) is None) is taken


def test_every_table_tells_its_source():
    for runtime in runtimes.RUNTIMES:
        assert runtimes.source(runtime)
    assert "Xnnpack-ExecutionProvider" in runtimes.source("xnnpack")
    assert "nnapi_supported_ops.md of onnxruntime 1." in runtimes.source("nnapi")
