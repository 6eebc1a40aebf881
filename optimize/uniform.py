"""Values that are one known number in every place, whatever their shape is at run time."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from optimize.graph import SMALL_CONSTANT_ELEMENTS, read, tensor_of

_MOVES = (
    *("Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape", "Slice"),
    *("Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
)
_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "Add": operator.add,
    "And": operator.and_,
    "Equal": operator.eq,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Mul": operator.mul,
    "Not": np.logical_not,
    "Or": operator.or_,
    "Sub": operator.sub,
}


def uniform(value: ir.Value | None) -> np.generic | None:
    """The number in every place of a value, with its type; None where none is known."""
    if value is None:
        return None
    tensor = tensor_of(value)
    if tensor is not None:
        return _of_tensor(tensor)
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in _MOVES:
        return uniform(node.inputs[0])
    if node.op_type == "ConstantOfShape":
        held = node.attributes.get("value")
        return np.float32(0) if held is None else _of_tensor(held.as_tensor())
    if node.op_type == "Cast":
        return _cast(uniform(node.inputs[0]), node.outputs[0].dtype)
    if node.op_type == "Where":
        condition = uniform(node.inputs[0])
        return None if condition is None else uniform(node.inputs[1 if condition else 2])
    operation = _OPERATIONS.get(node.op_type)
    if operation is None:
        return None
    operands = [uniform(each) for each in node.inputs]
    if any(each is None for each in operands):
        return None
    with np.errstate(all="ignore"):
        result: np.generic = operation(*operands)
    return result


def _of_tensor(tensor: ir.TensorProtocol) -> np.generic | None:
    if not 0 < tensor.size <= SMALL_CONSTANT_ELEMENTS or tensor.dtype == ir.DataType.STRING:
        return None
    values = read(tensor).reshape(-1)
    first: np.generic = values[0]
    return first if (values == first).all() else None


def _cast(found: np.generic | None, dtype: ir.DataType | None) -> np.generic | None:
    if found is None or dtype is None or dtype == ir.DataType.STRING:
        return None
    with np.errstate(all="ignore"):
        result: np.generic = found.astype(dtype.numpy())
    return result
