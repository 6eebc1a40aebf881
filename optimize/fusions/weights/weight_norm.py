"""`v * g / |v|` of constants -> the weight that it is.

Salimans and Kingma 2016, "Weight Normalization". The dynamo exporter leaves these chains wherever
the weight is large; nothing behind them then sees a constant weight. The weight is computed when it
is written, its norm in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_weight,
    constant,
    consumed_by,
    dims,
    int_of,
    ints_of,
    read,
    substitute,
    tensor_of,
)


@dataclass(frozen=True)
class _WeightNorm:
    """Direction `v`, magnitude `g` that broadcasts to it, and the axes of the norm."""

    direction: ir.TensorProtocol
    magnitude: ir.TensorProtocol
    axes: tuple[int, ...]
    output: ir.Value
    name: str


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Norms of constants."""
    for node in graph:
        if node.op_type == "ReduceL2" and tensor_of(node.inputs[0]) is not None:
            yield node


def _match(norm: ir.Node) -> _WeightNorm:
    source = norm.inputs[0]
    direction = tensor_of(source)
    assert source is not None and direction is not None
    if not int_of(norm, "keepdims", 1):
        raise NoMatch(f"{norm.name} drops the reduced axes")
    if int_of(norm, "noop_with_empty_axes", 0):
        raise NoMatch(f"{norm.name} may reduce nothing")
    divide = consumed_by(norm.outputs[0], "Div")
    if divide.inputs[1] is not norm.outputs[0]:
        raise NoMatch(f"{divide.name} divides the norm")
    multiply = consumed_by(divide.outputs[0], "Mul")
    quotient = divide.outputs[0]
    factor = multiply.inputs[1] if multiply.inputs[0] is quotient else multiply.inputs[0]
    parts = [divide.inputs[0], factor]
    if source not in parts:
        raise NoMatch(f"{multiply.name} does not scale the constant whose norm is taken")
    magnitude = tensor_of(parts[1 - parts.index(source)])
    if magnitude is None:
        raise NoMatch(f"the magnitude in {multiply.name} is not constant")
    output = multiply.outputs[0]
    if np.broadcast_shapes(dims(direction), dims(magnitude)) != dims(direction):
        raise NoMatch(f"the magnitude {dims(magnitude)} does not broadcast to {dims(direction)}")
    if output.is_graph_output():
        raise NoMatch(f"{output.name} is a graph output")
    name = source.name or norm.name or "weight"
    return _WeightNorm(direction, magnitude, _axes(norm, len(dims(direction))), output, name)


def _axes(norm: ir.Node, rank: int) -> tuple[int, ...]:
    given = norm.inputs[1] if len(norm.inputs) > 1 else None
    axes = constant(given)
    if given is not None and axes is None:
        raise NoMatch(f"the axes of {norm.name} are not constant")
    listed = ints_of(norm, "axes", ()) if axes is None else tuple(int(axis) for axis in axes)
    return listed or tuple(range(rank))


def _rewrite(graph: ir.Graph, match: _WeightNorm) -> None:
    def normalised() -> Array:
        direction = read(match.direction)
        squares = np.square(direction).sum(match.axes, dtype=np.float64, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):  # no direction: NaN, as in the source
            factor = (read(match.magnitude) / np.sqrt(squares)).astype(direction.dtype)
            weight: Array = direction * factor
        return weight

    shape = dims(match.direction)
    name = f"{match.name}.normalised"
    weight = add_weight(graph, name, match.direction.dtype, shape, normalised)
    match.output.shape, match.output.type = weight.shape, weight.type
    substitute(match.output, weight)


RULE = Rule("weight_norm", _candidates, _match, _rewrite)
