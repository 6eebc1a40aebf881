"""Where a node can hold float16: what its operator's schema and the runtime's kernels allow."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from optimize.surgery.graph import string_of
from optimize.surgery.scopes import bodies_of
from optimize.surgery.value_types import signature_of
from vampnet_models.onnxfile.operators import ATTENTION_OPS, DRAWING_OPS

FLOAT = ir.DataType.FLOAT
_NO_FORM = "the operator has no float16 form"

_SCORES = 3
"""The output of an attention that has its scores."""

_TENSORS = (ir.AttributeType.TENSOR, ir.AttributeType.TENSORS)
_TYPED_BY_ATTRIBUTE = ("Cast", "Constant", "ConstantOfShape")
_HALF = "tensor(float16)"

_NO_KERNEL = (
    "DFT",
    "Det",
    "FusedConv",
    "GlobalLpPool",
    "GridSample",
    "LpNormalization",
    "LpPool",
    "MaxRoiPool",
    "MaxUnpool",
    "MeanVarianceNormalization",
    "MelWeightMatrix",
    "RoiAlign",
    "STFT",
)
"""Operators with a float16 form for which no provider of the runtime has a float16 kernel."""


@dataclass(frozen=True)
class HalfForm:
    """The inputs and outputs of a node that become float16; its other floats stay float32."""

    inputs: frozenset[int]
    outputs: frozenset[int]


def is_float(value: ir.Value | None) -> bool:
    """Whether a value is a float32 tensor; sequences of them are none."""
    return value is not None and isinstance(value.type, ir.TensorType) and value.dtype == FLOAT


def half_form(node: ir.Node, main: ir.Graph) -> HalfForm | str:
    """Where a node of a graph with types holds float16, or why it cannot.

    Casts read what is there, so only their outputs count. Not for If, Loop and Scan.
    """
    values = [*node.inputs, *node.outputs]
    n_inputs = len(node.inputs)
    if bodies_of(node):
        return "its body is not converted"
    if any(v is not None and v.dtype == FLOAT and not is_float(v) for v in values):
        return "it holds a sequence or an optional, which stays float32"
    reason = _special(node)
    if reason is not None:
        return reason
    if node.op_type in _TYPED_BY_ATTRIBUTE and node.domain == "":
        return HalfForm(frozenset(), frozenset({0} if is_float(node.outputs[0]) else ()))
    if "dtype" in node.attributes or "output_datatype" in node.attributes:
        return "it names its output's type itself"
    signature = signature_of(node, main)
    if signature is None:
        return _NO_FORM
    places = [
        (index, name)
        for index, (value, name, allowed) in enumerate(signature.at(node))
        if is_float(value) and _HALF in allowed
    ]
    # An output is float16 where its type is that of an input.
    inputs = {index: name for index, name in places if index < n_inputs}
    if not inputs:
        return _NO_FORM
    outputs = {i - n_inputs for i, name in places if i >= n_inputs and name in inputs.values()}
    return HalfForm(frozenset(inputs), frozenset(outputs))


def _special(node: ir.Node) -> str | None:
    """Why a node stays in float32 though its operator has a float16 form."""
    if node.op_type in _NO_KERNEL or string_of(node, "reduction", "none") != "none":
        return "the runtime has no float16 kernel for it"
    if node.op_type in DRAWING_OPS:
        return "it draws numbers: other ones in float16"
    if node.op_type == "BitCast":
        return "it reads the bits of float32"
    if any(a.type in _TENSORS and a.name != "value" for a in node.attributes.values()):
        return "its attributes hold float32 tensors"
    if node.op_type in ATTENTION_OPS and len(node.outputs) > _SCORES:
        return "it hands out its scores, which a mask takes beyond float16"
    return None
