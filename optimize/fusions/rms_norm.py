"""`x / sqrt(mean(x^2) + eps) * weight` -> SimplifiedLayerNormalization.

Zhang and Sennrich 2019, "Root Mean Square Layer Normalization". ONNX's own RMSNormalization
begins with opset 23; ONNX Runtime has this operator for every opset, on CPU and CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    NoMatch,
    constant,
    consumed_by,
    insert,
    int_of,
    ints_of,
    produced_by,
    rank_of,
    scalar,
    substitute,
    tensor_of,
)


@dataclass(frozen=True)
class _RmsNorm:
    """The parts of a matched norm."""

    x: ir.Value
    weight: ir.Value
    epsilon: float
    output: ir.Value
    name: str


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Means of squares."""
    for node in graph:
        if node.op_type == "ReduceMean":
            square = node.inputs[0].producer() if node.inputs[0] is not None else None
            if square is not None and _squared(square) is not None:
                yield node


def _squared(node: ir.Node) -> ir.Value | None:
    """x where the node is x * x or x ** 2."""
    if node.op_type == "Mul" and node.inputs[0] is node.inputs[1]:
        return node.inputs[0]
    if node.op_type == "Pow" and scalar(node.inputs[1]) == 2.0:
        return node.inputs[0]
    return None


def _match(mean: ir.Node) -> _RmsNorm:
    square = produced_by(mean.inputs[0], "Mul", "Pow")
    x = _squared(square)
    if x is None:
        raise NoMatch(f"{square.name} is not a square")
    _require_last_axis(mean, x)
    add = consumed_by(mean.outputs[0], "Add")
    epsilon = scalar(add.inputs[1] if add.inputs[0] is mean.outputs[0] else add.inputs[0])
    if epsilon is None:
        raise NoMatch(f"{add.name} does not add a constant epsilon")
    root = consumed_by(add.outputs[0], "Sqrt").outputs[0]
    normalised = _normalised(root, x)
    scale = consumed_by(normalised, "Mul")
    weight = scale.inputs[1] if scale.inputs[0] is normalised else scale.inputs[0]
    tensor = tensor_of(weight)
    if weight is None or tensor is None or len(tensor.shape) != 1:
        raise NoMatch(f"{scale.name} does not multiply by a constant vector")
    return _RmsNorm(x, weight, epsilon, scale.outputs[0], scale.name or "rms_norm")


def _require_last_axis(mean: ir.Node, x: ir.Value) -> None:
    axes = constant(mean.inputs[1]) if len(mean.inputs) > 1 else None
    listed = list(ints_of(mean, "axes", ())) if axes is None else axes.tolist()
    rank = rank_of(x)
    if listed != [-1] and (rank is None or listed != [rank - 1]):
        raise NoMatch(f"{mean.name} reduces the axes {listed}, not the last one alone")
    if not int_of(mean, "keepdims", 1):
        raise NoMatch(f"{mean.name} drops the reduced axis")


def _normalised(root: ir.Value, x: ir.Value) -> ir.Value:
    """The value of `x / root`, written as Div, or as Mul by the reciprocal."""
    divide = consumed_by(root, "Div", "Reciprocal")
    if divide.op_type == "Div" and divide.inputs[0] is x:
        return divide.outputs[0]
    if divide.op_type == "Div" and scalar(divide.inputs[0]) != 1.0:
        raise NoMatch(f"{divide.name} does not divide the value whose squares are averaged")
    multiply = consumed_by(divide.outputs[0], "Mul")
    if x not in multiply.inputs:
        raise NoMatch(f"{multiply.name} does not scale the value whose squares are averaged")
    return multiply.outputs[0]


def _rewrite(graph: ir.Graph, match: _RmsNorm) -> None:
    node = match.output.producer()
    assert node is not None
    # stash_type 1: the mean is taken in float32 also where x becomes float16.
    (new,) = insert(
        node,
        "SimplifiedLayerNormalization",
        [match.x, match.weight],
        {"axis": -1, "epsilon": match.epsilon, "stash_type": 1},
        name=f"{match.name}/rms_norm",
    )
    substitute(match.output, new)


RULE = Rule("rms_norm", _candidates, _match, _rewrite)
