"""`x W + (x A) B s` -> `x (W + A B s)`: LoRA that an exporter left beside its weight.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". The product is added in
double precision and rounded once, when the weight is written.
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
    consumed_by,
    dims,
    insert,
    read,
    scalar,
    substitute,
    tensor_of,
)

_MAX_RANK_SHARE = 0.5
"""A product whose inner size is more than this share of the outer ones is no low-rank update."""


@dataclass(frozen=True)
class _LowRank:
    """The parts of a matched linear layer; weight `[in, out]`, down `[in, r]`, up `[r, out]`."""

    x: ir.Value
    weight: ir.Value
    down: ir.TensorProtocol
    up: ir.TensorProtocol
    scale: float
    output: ir.Value
    name: str


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """The second of two chained products with constant low-rank matrices."""
    for node in graph:
        up = tensor_of(node.inputs[1]) if node.op_type == "MatMul" else None
        down = _down(node) if up is not None and len(up.shape) == 2 else None
        if up is None or down is None:
            continue
        outer = min(dims(down)[0], dims(up)[1])
        if dims(down)[1] == dims(up)[0] <= _MAX_RANK_SHARE * outer:
            yield node


def _down(node: ir.Node) -> ir.TensorProtocol | None:
    """The constant matrix of the product that feeds this one."""
    first = node.inputs[0].producer() if node.inputs[0] is not None else None
    if first is None or first.op_type != "MatMul":
        return None
    tensor = tensor_of(first.inputs[1])
    return tensor if tensor is not None and len(tensor.shape) == 2 else None


def _match(second: ir.Node) -> _LowRank:
    up, down = tensor_of(second.inputs[1]), _down(second)
    first = second.inputs[0].producer() if second.inputs[0] is not None else None
    assert up is not None and down is not None and first is not None
    x = first.inputs[0]
    value, scale = _scaled(second.outputs[0])
    add = consumed_by(value, "Add")
    other = add.inputs[1] if add.inputs[0] is value else add.inputs[0]
    base = other.producer() if other is not None else None
    if base is None or base.op_type != "MatMul" or base.inputs[0] is not x or x is None:
        raise NoMatch(f"{add.name} does not add a product of the same input")
    weight = base.inputs[1]
    tensor = tensor_of(weight)
    if weight is None or tensor is None or dims(tensor) != (dims(down)[0], dims(up)[1]):
        raise NoMatch(f"{base.name} has no constant weight of the update's shape")
    if len(base.outputs[0].consumers()) != 1 or base.outputs[0].is_graph_output():
        raise NoMatch(f"{base.name} is read elsewhere without the update")
    return _LowRank(x, weight, down, up, scale, add.outputs[0], base.name or "linear")


def _scaled(value: ir.Value) -> tuple[ir.Value, float]:
    """The value behind a constant factor, if one follows."""
    readers = value.consumers()
    if len(readers) != 1 or readers[0].op_type not in ("Mul", "Div"):
        return value, 1.0
    node = readers[0]
    other = node.inputs[1] if node.inputs[0] is value else node.inputs[0]
    factor = scalar(other)
    if factor is None or (node.op_type == "Div" and node.inputs[0] is not value):
        return value, 1.0
    return node.outputs[0], 1 / factor if node.op_type == "Div" else factor


def _rewrite(graph: ir.Graph, match: _LowRank) -> None:
    tensor = tensor_of(match.weight)
    node = match.output.producer()
    assert tensor is not None and node is not None

    def folded() -> Array:
        update = read(match.down).astype(np.float64) @ read(match.up).astype(np.float64)
        weight: Array = (read(tensor) + match.scale * update).astype(np.float32)
        return weight

    weight = add_weight(graph, f"{match.weight.name}.with_lora", tensor.dtype, dims(tensor), folded)
    shape = match.output.shape
    (new,) = insert(
        node, "MatMul", [match.x, weight], name=f"{match.name}/with_lora", shapes=[shape]
    )
    substitute(match.output, new)


RULE = Rule("lora", _candidates, _match, _rewrite)
