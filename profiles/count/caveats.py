"""What an operator table's notes mean for one node: the conditions that a graph can be checked for.

The tables name operators and a few conditions; the providers' sources say the rest. Checked here
are those that decide for audio models and transformers: dimensions of convolutions and products,
weights that must be constants, types of quantized pairs, attributes. Each answer is a sentence
part for people, or None where nothing speaks against the node.

From ONNX Runtime's providers as of 2025 and 2026 (`core/providers/xnnpack/{nn,math,tensor}`,
`nnapi/nnapi_builtin/builders/impl/{base_op_builder,gemm_op_builder}.cc` with
`op_builder_helpers.cc`, `coreml/builders/impl/{gemm,convtranspose}_op_builder.cc`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from vampnet_models.shapes.tensor_shapes import Tensor

_Tensors = Mapping[str, Tensor]

_WANTS_CONSTANTS = re.compile(r"(should|must) be (a )?constant")

_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "QLinearConv": 3}

_READ_QDQ = ("nnapi", "xnnpack")
"""Runtimes that read DequantizeLinear, operator, QuantizeLinear as one quantized operator."""

_NHWC = frozenset({"AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool"})


def caveat(node: ir.Node, tensors: _Tensors, runtime: str, note: str) -> str | None:
    """Why `runtime` refuses a node whose operator is in its table with this note."""
    if node.op_type in _WEIGHTS:
        return _convolution(node, tensors, runtime, note)
    if node.op_type in ("MatMul", "Gemm"):
        return _product(node, tensors, runtime)
    if node.op_type in _NHWC and "Only 2D" in note and _rank(node, 0, tensors) != 4:
        return "a pool that is not 2D"
    if runtime == "xnnpack" and node.op_type == "Softmax":
        return _xnnpack_softmax(node, tensors)
    if runtime == "xnnpack" and node.op_type == "Resize":
        four, linear = _rank(node, 0, tensors) == 4, _attribute(node, "mode", "nearest") == "linear"
        return None if four and linear else "only 4D resizing by linear interpolation is taken"
    if "both inputs are fp32" in note:
        types = {_dtype(value, tensors) for value in node.inputs}
        return None if types == {ir.DataType.FLOAT} else "only float32 is taken"
    if _WANTS_CONSTANTS.search(note) and not all(map(_is_constant, node.inputs[1:])):
        indices = _dtype(node.inputs[1], tensors)
        if "if not int32" in note and indices == ir.DataType.INT32:
            return None
        return "an input is computed where only constants are taken"
    return None


def _is_constant(value: ir.Value | None) -> bool:
    """Whether the value is an initializer or a Constant's; an absent input is one."""
    if value is None or value.is_initializer():
        return True
    producer = value.producer()
    return producer is not None and producer.op_type == "Constant"


def _convolution(node: ir.Node, tensors: _Tensors, runtime: str, note: str) -> str | None:
    index = _WEIGHTS[node.op_type]
    weight = node.inputs[index] if index < len(node.inputs) else None
    if weight is None:
        return "it has no weight"
    known = tensors.get(weight.name or "")
    if known is not None and len(known.shape) != 4:
        spatial = len(known.shape) - 2
        if "Only 2D" in note:
            return f"a {spatial}D convolution, only 2D is taken"
        if "1D/2D" in note and spatial != 1:
            return f"a {spatial}D convolution, only 1D and 2D are taken"
    if runtime == "coreml-mlprogram" and node.op_type == "ConvTranspose":
        refused = _coreml_transposed(node)
        if refused:
            return refused
    if not _WANTS_CONSTANTS.search(note) or _is_constant(weight):
        return None
    unfolded = _dequantized(weight)
    if unfolded is None or not _is_constant(unfolded):
        return "its weight is computed, only constants are taken"
    if runtime not in _READ_QDQ or not _is_quantized(node):
        return "its weight comes from DequantizeLinear, only constants are taken"
    return _xnnpack_types(node, tensors) if runtime == "xnnpack" else None


def _coreml_transposed(node: ir.Node) -> str | None:
    """CoreML pads both ends alike, in every dimension, and has no padding of the output."""
    if str(_attribute(node, "auto_pad", "NOTSET")).startswith("SAME"):
        return "auto_pad SAME"
    if _attribute(node, "output_shape", None) is not None:
        return "output_shape is given"
    if any(_attribute(node, "output_padding", ())):
        return "output_padding is not zero"
    pads = _attribute(node, "pads", None)
    if pads is None or len(set(pads)) > 1:
        return "its pads are missing or unequal"
    return None


def _xnnpack_types(node: ir.Node, tensors: _Tensors) -> str | None:
    """XNNPACK has S8S8 (weights also per channel) and U8U8, but not U8S8."""
    values, weights = (_dequantized(value) for value in node.inputs[:2])
    names = [_dtype(value, tensors) for value in (values, weights)]
    if names[0] == names[1] and names[0] in (ir.DataType.INT8, ir.DataType.UINT8):
        return None
    said = [name.name.lower() if name is not None else "unknown" for name in names]
    return f"{said[0]} values with {said[1]} weights, both must be int8 or both uint8"


def _product(node: ir.Node, tensors: _Tensors, runtime: str) -> str | None:
    if node.op_type == "Gemm":
        scaled = any(_attribute(node, name, 1.0) != 1.0 for name in ("alpha", "beta"))
        if scaled or (runtime != "xnnpack" and _attribute(node, "transA", 0)):
            return "a Gemm that scales, or transposes its first input"
    if runtime == "coreml-mlprogram" and node.op_type == "MatMul":
        return None
    shapes = [_shape(value, tensors) for value in node.inputs[:2]]
    if None in shapes or len(shapes) < 2:
        return "its shape is known only when it runs"
    one, other = (shape or () for shape in shapes)
    if len(one) > 2 or len(other) > 2:
        alike = len(one) == len(other) and one[:-2] == other[:-2]
        if runtime == "nnapi" and alike and not _is_quantized(node):
            return None
        return f"a product of {len(one)}D and {len(other)}D, " + (
            "only 2D or alike batches in float32 are taken"
            if runtime == "nnapi"
            else "only 2D is taken"
        )
    weight = node.inputs[1]
    if _is_constant(weight):
        return None
    unfolded = _dequantized(weight)
    if runtime == "nnapi" and unfolded is not None and _is_constant(unfolded):
        return None if _is_quantized(node) else "its weight comes from DequantizeLinear"
    if runtime == "nnapi" and node.op_type == "Gemm" and _attribute(node, "transB", 0):
        return None
    return "its second input is computed, only constants are taken"


def _xnnpack_softmax(node: ir.Node, tensors: _Tensors) -> str | None:
    axis, rank = _attribute(node, "axis", -1), _rank(node, 0, tensors)
    return None if axis == -1 or axis + 1 == rank else "its axis is not the last"


def _is_quantized(node: ir.Node) -> bool:
    """Whether values come from DequantizeLinear and all results go to QuantizeLinear."""
    readers = [use.node.op_type for out in node.outputs for use in out.uses()]
    return (
        _dequantized(node.inputs[0]) is not None
        and bool(readers)
        and set(readers) == {"QuantizeLinear"}
    )


def _dequantized(value: ir.Value | None) -> ir.Value | None:
    """What a DequantizeLinear that gives this value reads; None where none does."""
    producer = None if value is None else value.producer()
    if producer is None or producer.op_type != "DequantizeLinear":
        return None
    return producer.inputs[0]


def _attribute(node: ir.Node, name: str, default: Any) -> Any:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.value


def _shape(value: ir.Value | None, tensors: _Tensors) -> tuple[int, ...] | None:
    known = None if value is None else tensors.get(value.name or "")
    return None if known is None else known.shape


def _rank(node: ir.Node, index: int, tensors: _Tensors) -> int | None:
    shape = _shape(node.inputs[index], tensors)
    return None if shape is None else len(shape)


def _dtype(value: ir.Value | None, tensors: _Tensors) -> ir.DataType | None:
    known = None if value is None else tensors.get(value.name or "")
    return None if known is None else known.dtype
