import numpy as np
import pytest
from onnx import TensorProto, helper

from profiles.cost import flops_of, model_cost
from profiles.shapes import infer_shapes
from tests.profiles import graphs


def _by_name(proto, **inputs):
    model = graphs.as_ir(proto)
    cost = model_cost(model, infer_shapes(model, inputs))
    assert cost.unresolved == ()
    return {n.name: n for n in cost.nodes}, cost


def test_matmul_counts_two_per_multiply_accumulate():
    nodes, cost = _by_name(graphs.matmul(inner=64, columns=32), x=(10, 64))
    node = nodes["layer/MatMul"]
    assert node.flops == cost.flops == 2 * 10 * 64 * 32
    assert node.bytes == 4 * (10 * 64 + 64 * 32 + 10 * 32)
    assert node.weight_bytes == 4 * 64 * 32
    assert node.precision == "float32"


def test_convolutions_by_hand():
    nodes, _ = _by_name(graphs.conv_chain(), audio=(1, 1, 96))
    assert nodes["block/conv"].flops == 2 * 96 * 16 * 1 * 7
    assert nodes["block/up"].flops == 2 * 96 * 16 * 4 * 4
    assert nodes["block/sin"].flops == 96 * 16


@pytest.mark.parametrize(
    ("op_type", "inputs", "outputs", "expected"),
    [
        ("Conv", [(1, 8, 20), (8, 1, 3)], [(1, 8, 20)], 2 * 160 * 3),
        ("QLinearConv", [(1, 8, 20), (), (), (16, 8, 3)], [(1, 16, 20)], 2 * 320 * 24),
        ("MatMul", [(2, 4, 5, 6), (2, 4, 6, 7)], [(2, 4, 5, 7)], 2 * 2 * 4 * 5 * 6 * 7),
        ("Gemm", [(6, 5), (6, 7)], [(5, 7)], 2 * 5 * 6 * 7),
        ("DynamicQuantizeMatMul", [(1, 5, 6), (6, 7)], [(1, 5, 7)], 2 * 5 * 6 * 7),
        ("MatMulNBits", [(1, 5, 6), (7, 1, 16)], [(1, 5, 7)], 2 * 5 * 6 * 7),
        ("MultiHeadAttention", [(1, 5, 8), (1, 9, 8), (1, 9, 8)], [(1, 5, 8)], 4 * 5 * 9 * 8),
        ("Attention", [(1, 2, 5, 4), (1, 2, 9, 4), (1, 2, 9, 4)], [(1, 2, 5, 4)], 4 * 5 * 9 * 8),
        ("Attention", [(1, 5, 8), (8, 24)], [(1, 5, 8)], 2 * 40 * 24 + 4 * 25 * 8),
        ("Softmax", [(5, 6)], [(5, 6)], 120),
        ("ReduceMean", [(5, 6)], [(5, 1)], 30),
        ("Transpose", [(5, 6)], [(6, 5)], 0),
        ("Reshape", [(5, 6), (1,)], [(30,)], 0),
    ],
)
def test_flops_from_shapes(op_type, inputs, outputs, expected):
    assert flops_of(op_type, inputs, outputs) == expected


def test_a_qdq_convolution_counts_as_one_integer_kernel():
    nodes, cost = _by_name(graphs.qdq_conv(), x=(1, 8, 100))
    conv = nodes["conv"]
    assert conv.precision == "int8"
    assert conv.bytes == 8 * 100 + 16 * 8 * 3 + 16 * 100
    assert conv.weight_bytes == 16 * 8 * 3
    assert nodes["wd"].bytes == nodes["xd"].bytes == nodes["cq"].bytes == 0
    assert nodes["xq"].bytes > 0
    assert cost.flops_by("precision")["int8"] == conv.flops


def test_a_weight_only_convolution_computes_in_float():
    nodes, _ = _by_name(graphs.qdq_conv(weights_only=True), x=(1, 8, 100))
    assert nodes["conv"].precision == "float32"
    assert nodes["wd"].bytes == 16 * 8 * 3 * (1 + 4) + 4


def test_gather_reads_the_rows_it_names():
    proto = graphs.model(
        [helper.make_node("Gather", ["table", "codes"], ["y"], name="g")],
        [("codes", TensorProto.INT64, [1, "frames"])],
        [("y", graphs.FLOAT, [1, "frames", 8])],
        {"table": np.zeros((1024, 8), np.float32)},
    )
    nodes, _ = _by_name(proto, codes=(1, 10))
    assert nodes["g"].bytes == 2 * 10 * 8 * 4 + 10 * 8
    assert nodes["g"].flops == 0
