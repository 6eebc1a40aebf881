"""`where(false, fill, x)` -> `x`, and `x + 0` -> `x`, of any length.

A mask that is known to keep everything: exporters write an all-true padding mask as ConstantOfShape
or Expand, with Casts, comparisons and slices behind it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.dimensions import dimensions
from optimize.surgery.graph import (
    SMALL_CONSTANT_ELEMENTS,
    NoMatch,
    graph_of,
    read,
    substitute,
    tensor_of,
)
from vampnet_models.onnxfile.operators import DEFAULT_DOMAINS, REARRANGING_OPS

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

_MOST_VALUES = 128
"""Values that are looked at for one; what makes a mask is shorter, and some graphs have no end."""


def uniform(value: ir.Value | None) -> np.generic | None:
    """The number in every place of a value, with its type; None where none is known."""
    known: dict[ir.Value | None, np.generic | None] = {None: None}
    waiting = [value]
    while waiting:
        each = waiting[-1]
        unread = (
            [] if each is None or each in known else [v for v in _reads(each) if v not in known]
        )
        if len(known) + len(waiting) + len(unread) > _MOST_VALUES:
            return None
        if not unread:
            if each is not None and each not in known:
                known[each] = _of_value(each, known)
            waiting.pop()
        waiting += unread
    return known[value]


def _reads(value: ir.Value) -> Sequence[ir.Value | None]:
    """The values that decide about this one, as far as they can."""
    node = value.producer()
    if node is None or node.domain not in DEFAULT_DOMAINS or tensor_of(value) is not None:
        return ()
    if node.op_type in REARRANGING_OPS or node.op_type == "Cast":
        return node.inputs[:1]
    return node.inputs if node.op_type == "Where" or node.op_type in _OPERATIONS else ()


def _of_value(
    value: ir.Value, known: Mapping[ir.Value | None, np.generic | None]
) -> np.generic | None:
    """The number of a value, where those of what it reads are known."""
    tensor = tensor_of(value)
    if tensor is not None:
        return _of_tensor(tensor)
    node = value.producer()
    if node is None or node.domain not in DEFAULT_DOMAINS:
        return None
    if node.op_type == "ConstantOfShape":
        held = node.attributes.get("value")
        return np.float32(0) if held is None else _of_tensor(held.as_tensor())
    operands = [known[each] for each in _reads(value)]
    if node.op_type in REARRANGING_OPS:
        return operands[0]
    if node.op_type == "Cast":
        return _cast(operands[0], node.outputs[0].dtype)
    if node.op_type == "Where":
        return None if operands[0] is None else operands[1 if operands[0] else 2]
    operation = _OPERATIONS.get(node.op_type)
    if operation is None or any(each is None for each in operands):
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


@dataclass(frozen=True)
class _Known:
    """What a node always hands on, and what it makes."""

    kept: ir.Value
    output: ir.Value


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Choices between a value and a fill that are made already, and sums with nothing."""
    for node in graph:
        chosen = node.op_type == "Where" and uniform(node.inputs[0]) is not None
        if chosen or (node.op_type == "Add" and _zero(node) is not None):
            yield node


def _zero(add: ir.Node) -> int | None:
    """Which operand of a sum is made at run time and zero in every place."""
    for index, value in enumerate(add.inputs):
        if value is not None and value.producer() is not None and uniform(value) == 0:
            return index
    return None


def _match(node: ir.Node) -> _Known:
    if node.op_type == "Where":
        kept = node.inputs[1 if uniform(node.inputs[0]) else 2]
        others = [v for v in node.inputs if v is not kept and v is not None]
    else:
        index = _zero(node)
        assert index is not None
        kept, others = node.inputs[1 - index], [v for v in (node.inputs[index],) if v is not None]
    if kept is None or kept.producer() is None or kept.graph is not graph_of(node):
        raise NoMatch(f"{node.name} hands on what another graph or no node makes")
    if node.outputs[0].is_graph_output():
        raise NoMatch(f"{node.outputs[0].name} is a graph output")
    known = dimensions(graph_of(node))
    for other in others:
        if not known.fits(other, kept):
            raise NoMatch(f"{other.name} with the shape {other.shape} may widen {kept.name}")
    return _Known(kept, node.outputs[0])


def _rewrite(graph: ir.Graph, match: _Known) -> None:
    kept_type, kept_shape = match.kept.type, match.kept.shape
    substitute(match.output, match.kept)
    match.kept.type, match.kept.shape = kept_type, kept_shape


RULE = Rule("known_mask", _candidates, _match, _rewrite)
