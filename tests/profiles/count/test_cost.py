import numpy as np
from onnx import TensorProto, helper

from profiles.count.cost import model_cost
from tests.profiles import graphs
from vampnet_models.shapes.tensor_shapes import infer_shapes


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
