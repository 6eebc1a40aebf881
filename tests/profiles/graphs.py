"""Tiny graphs for the profiles' tests, written straight with onnx.helper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def model(nodes, inputs, outputs, initializers=(), *, contrib=False) -> onnx.ModelProto:
    """A model of opset 21; `inputs` and `outputs` are (name, type, shape), weights are arrays."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(initializers).items()],
    )
    opsets = [helper.make_opsetid("", 21)]
    if contrib:
        opsets.append(helper.make_opsetid("com.microsoft", 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def as_ir(proto: onnx.ModelProto) -> ir.Model:
    """The same graph as onnx_ir holds it."""
    return ir.from_proto(proto)


def matmul(rows="rows", inner=64, columns=32, name="layer/MatMul") -> onnx.ModelProto:
    """y = x @ w with a dynamic number of rows."""
    weight = np.random.default_rng(0).standard_normal((inner, columns)).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name=name)],
        [("x", FLOAT, [rows, inner])],
        [("y", FLOAT, [rows, columns])],
        {"w": weight},
    )


def slow_matmul(repeats: int, inner=64) -> onnx.ModelProto:
    """The same product `repeats` times in a row: a slower variant of one interface."""
    weight = (np.eye(inner) * 0.5).astype(np.float32)
    names = ["x", *(f"h{i}" for i in range(1, repeats)), "y"]
    return model(
        [
            helper.make_node("MatMul", [names[i], "w"], [names[i + 1]], name=f"block.{i}/MatMul")
            for i in range(repeats)
        ],
        [("x", FLOAT, ["rows", inner])],
        [("y", FLOAT, ["rows", inner])],
        {"w": weight},
    )


def conv_chain() -> onnx.ModelProto:
    """Pads to a multiple of 8 inside the graph, then Conv, Snake's ops, ConvTranspose."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Shape", ["audio"], ["length"], start=2, end=3),
        helper.make_node("Neg", ["length"], ["negative"]),
        helper.make_node("Mod", ["negative", "hop"], ["missing"]),
        helper.make_node("Concat", ["zeros", "missing"], ["pads"], axis=0),
        helper.make_node("Pad", ["audio", "pads"], ["padded"]),
        helper.make_node("Conv", ["padded", "w", "b"], ["c"], name="block/conv", pads=[3, 3]),
        helper.make_node("Sin", ["c"], ["s"], name="block/sin"),
        helper.make_node(
            "ConvTranspose", ["s", "wt"], ["y"], name="block/up", strides=[2], pads=[1, 1]
        ),
    ]
    return model(
        nodes,
        [("audio", FLOAT, ["batch", 1, "samples"])],
        [("y", FLOAT, ["batch", 4, "out"])],
        {
            "hop": np.array([8], np.int64),
            "zeros": np.zeros(5, np.int64),
            "w": rng.standard_normal((16, 1, 7)).astype(np.float32),
            "b": np.zeros(16, np.float32),
            "wt": rng.standard_normal((16, 4, 4)).astype(np.float32),
        },
    )


def qdq_conv(weights_only=False) -> onnx.ModelProto:
    """Conv between DequantizeLinear and QuantizeLinear, as static quantization writes it."""
    rng = np.random.default_rng(0)
    data = "x" if weights_only else "xd"
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], name="xq"),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], name="xd"),
        helper.make_node("DequantizeLinear", ["wq", "ws"], ["wd"], name="wd"),
        helper.make_node("Conv", [data, "wd"], ["c"], name="conv", pads=[1, 1]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"], name="cq"),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["y"], name="yd"),
    ]
    if weights_only:
        nodes = [nodes[2], helper.make_node("Conv", ["x", "wd"], ["y"], name="conv", pads=[1, 1])]
    return model(
        nodes,
        [("x", FLOAT, [1, 8, "frames"])],
        [("y", FLOAT, [1, 16, "frames"])],
        {
            "s": np.array(0.05, np.float32),
            "z": np.array(128, np.uint8),
            "ws": np.array(0.01, np.float32),
            "wq": rng.integers(-127, 127, (16, 8, 3)).astype(np.int8),
        },
    )


def save(proto: onnx.ModelProto, path: Path) -> Path:
    """Write the model and give its path back."""
    onnx.save(proto, path)
    return path


def save_feeds(path: Path, **arrays) -> Path:
    """Write the feeds and give their path back."""
    np.savez(path, **arrays)
    return path
