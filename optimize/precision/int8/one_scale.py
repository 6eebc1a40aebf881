"""Where the runtime joins a dequantized value to an integer kernel that knows one scale only.

ONNX Runtime (1.31) makes DequantizeLinear, operator and QuantizeLinear one node, of scales per
channel too, and then refuses the model: those kernels take one scale.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from optimize.surgery.graph import weight_of
from vampnet_models.onnxfile.operators import RESHAPING_OPS

_JOINED_OPS = frozenset(
    {
        "Add",
        "AveragePool",
        "Concat",
        "GlobalAveragePool",
        "LeakyRelu",
        "Mul",
        "Sigmoid",
        "Softmax",
    }
)
"""Operators that become integer kernels between a DequantizeLinear and a QuantizeLinear."""

_PASSED_OPS = RESHAPING_OPS | {"MaxPool", "Slice", "Transpose"}
"""Operators that the runtime moves either of the two past."""

_QUANTIZED_OPS = ("MatMul", "QuantizeLinear")
"""What quantizes its input as a whole; a convolution brings its input to its steps first."""


def takes_one_scale(value: ir.Value) -> bool:
    """Whether a dequantized value must have one scale, by what reads it."""
    for node in _readers(value):
        if node.op_type == "MatMul" and weight_of(node) is None:
            return True
        if node.op_type in _JOINED_OPS and any(
            after.op_type in _QUANTIZED_OPS for made in node.outputs for after in _readers(made)
        ):
            return True
    return False


def _readers(value: ir.Value) -> Iterator[ir.Node]:
    """What reads a value, directly or behind operators that move it."""
    for use in value.uses():
        yield use.node
        if use.node.op_type in _PASSED_OPS and use.idx == 0:
            yield from _readers(use.node.outputs[0])
