"""`y = x + sin(alpha x)^2 / (alpha + 1e-9)` -> Mul, Sin, Mul, Mul, Add with constants folded.

Snake (Ziyin et al. 2020), however an exporter wrote it. The runtime has no kernel for it; its Sin
takes ten times as long as any other elementwise operator, Pow and Div longer than Mul. So the
cheapest portable form squares by Mul and multiplies by a stored reciprocal. The cosine form,
`(1 - cos(2 alpha x)) / (2 alpha)`, takes as many passes over the data and as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    constant_operand,
    consumed_by,
    insert,
    produced_by,
    scalar,
    substitute,
)


@dataclass(frozen=True)
class Snake:
    """The parts of a Snake; `alpha` and `inverse` are per channel (see `by_channel`) or scalars."""

    x: ir.Value
    alpha: Array
    inverse: Array
    output: ir.Value
    name: str
    is_cheapest: bool
    """Whether the graph has the cheapest form already."""


@dataclass(frozen=True)
class Bytes:
    """A uint8 side of a Snake: steps per channel (None where they are 1) and the zero point."""

    sizes: Array | None
    zero_point: int


def candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Sines."""
    yield from (node for node in graph if node.op_type == "Sin")


def match(sine: ir.Node) -> Snake:
    """Recognise the Snake around a Sin. Raises NoMatch."""
    x, alpha = constant_operand(produced_by(sine.inputs[0], "Mul"))
    square = _square(sine)
    scaled = consumed_by(square.outputs[0], "Mul", "Div")
    _, factor = constant_operand(scaled)
    if scaled.op_type == "Div" and scaled.inputs[0] is not square.outputs[0]:
        raise NoMatch(f"{scaled.name} divides by the squared sine")
    inverse = 1 / factor if scaled.op_type == "Div" else factor
    add = consumed_by(scaled.outputs[0], "Add")
    if x not in add.inputs:
        raise NoMatch(f"{add.name} does not add the value whose sine is taken")
    if not _is_per_channel(alpha) or not _is_per_channel(inverse):
        raise NoMatch("alpha is not per channel")
    is_cheapest = square.op_type == "Mul" and scaled.op_type == "Mul"
    name = sine.name or "snake"
    return Snake(x, alpha, inverse, add.outputs[0], name, is_cheapest)


def _square(sine: ir.Node) -> ir.Node:
    """The node that squares the sine: Mul by itself, or Pow 2."""
    value = sine.outputs[0]
    readers = set(value.consumers())
    if value.is_graph_output() or len(readers) != 1:
        raise NoMatch(f"{value.name} has {len(readers)} readers, expected the square alone")
    (square,) = readers
    if square.op_type == "Mul" and square.inputs[0] is square.inputs[1]:
        return square
    if square.op_type == "Pow" and scalar(square.inputs[1]) == 2.0:
        return square
    raise NoMatch(f"{square.name} ({square.op_type}) does not square the sine")


def _is_per_channel(values: Array) -> bool:
    """Whether a tensor `[batch, channels, ...]` can have it as a value for each channel."""
    if values.size == 1:
        return True
    # Without an axis for the batch the channels come first: `[channels, 1, ...]`.
    return any(values.ndim > 1 and values.size == size for size in values.shape[:2])


def by_channel(found: Snake, rank: int, channels: int) -> Snake:
    """The same with alpha and inverse `[1, channels, 1, ...]` of that rank.

    Raises NoMatch where they are values along another axis, or for another number of channels.
    """
    shape = (1, channels, *(1 for _ in range(rank - 2)))
    if max(found.alpha.ndim, found.inverse.ndim) > rank or rank < 2:
        raise NoMatch(f"alpha has more axes than its input with {rank}")
    try:
        alpha, inverse = (np.broadcast_to(each, shape) for each in (found.alpha, found.inverse))
    except ValueError:
        raise NoMatch(f"alpha is not one value for each of {channels} channels") from None
    return replace(found, alpha=alpha, inverse=inverse)


def channels_of(x: ir.Value) -> int | None:
    """The channels of a value that is known to be `[batch, channels, samples]`, else None."""
    channels = x.shape[1] if x.shape is not None and len(x.shape) == 3 else None
    return channels if isinstance(channels, int) else None


def _rewrite(graph: ir.Graph, found: Snake) -> None:
    if found.is_cheapest:
        return
    node = found.output.producer()
    assert node is not None
    name, shape = found.name, found.output.shape
    alpha = add_constant(graph, f"{name}/alpha", found.alpha.astype(np.float32))
    inverse = add_constant(graph, f"{name}/inverse_alpha", found.inverse.astype(np.float32))

    def op(op_type: str, *inputs: ir.Value, label: str) -> ir.Value:
        return insert(node, op_type, inputs, name=f"{name}/{label}", shapes=[shape])[0]

    sine = op("Sin", op("Mul", alpha, found.x, label="angle"), label="sine")
    scaled = op("Mul", inverse, op("Mul", sine, sine, label="square"), label="scaled")
    substitute(found.output, op("Add", found.x, scaled, label="snake"))


RULE = Rule("snake", candidates, match, _rewrite)
