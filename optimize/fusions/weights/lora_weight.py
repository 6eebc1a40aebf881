"""`W + s (B A)` of constants -> the weight that it is: LoRA that was merged within the graph.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". The product may have been
multiplied out by the exporter already. The sum is taken in double precision and rounded once, when
the weight is written.
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
    dims,
    read,
    scalar,
    substitute,
    tensor_of,
)


@dataclass(frozen=True)
class _Merged:
    """A weight `[a, b]`, and factors whose scaled product `[a, b]` is added to it."""

    weight: ir.TensorProtocol
    factors: tuple[ir.TensorProtocol, ...]
    scale: float
    output: ir.Value


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Sums of a constant matrix and a product."""
    for node in graph:
        if node.op_type == "Add" and _parts(node) is not None:
            yield node


def _parts(add: ir.Node) -> tuple[ir.TensorProtocol, ir.Node] | None:
    """The constant matrix and the node of the update, where its operands are constants."""
    for index in (0, 1):
        tensor, other = tensor_of(add.inputs[index]), add.inputs[1 - index]
        node = other.producer() if other is not None else None
        if tensor is None or len(tensor.shape) != 2 or node is None:
            continue
        is_scaled = node.op_type in ("Mul", "Div")
        if _product(other) or (is_scaled and any(_product(value) for value in node.inputs)):
            return tensor, node
    return None


def _product(value: ir.Value | None) -> tuple[ir.TensorProtocol, ...] | None:
    """The constant matrices whose product a value is; the value itself where it is constant."""
    tensor = tensor_of(value)
    if tensor is not None:
        return (tensor,) if len(tensor.shape) == 2 else None
    node = value.producer() if value is not None else None
    return _factors(node) if node is not None and node.op_type == "MatMul" else None


def _factors(product: ir.Node) -> tuple[ir.TensorProtocol, ...] | None:
    left, right = tensor_of(product.inputs[0]), tensor_of(product.inputs[1])
    if left is None or right is None or len(left.shape) != 2 or len(right.shape) != 2:
        return None
    return left, right


def _match(add: ir.Node) -> _Merged:
    parts = _parts(add)
    assert parts is not None
    weight, node = parts
    scale, factors = 1.0, _product(node.outputs[0])
    if factors is None:
        index = 0 if _product(node.inputs[0]) else 1
        factors, number = _product(node.inputs[index]), scalar(node.inputs[1 - index])
        assert factors is not None
        if number is None:
            raise NoMatch(f"{node.name} scales the update by something else than one number")
        if node.op_type == "Div" and index == 1:
            raise NoMatch(f"{node.name} divides by the update")
        scale = 1 / number if node.op_type == "Div" else number
    shape = (dims(factors[0])[0], dims(factors[-1])[-1])
    if shape != dims(weight):
        raise NoMatch(f"the update has the shape {shape}, the weight {dims(weight)}")
    if add.outputs[0].is_graph_output():
        raise NoMatch(f"{add.outputs[0].name} is a graph output")
    return _Merged(weight, factors, scale, add.outputs[0])


def _rewrite(graph: ir.Graph, match: _Merged) -> None:
    def merged() -> Array:
        update = read(match.factors[0]).astype(np.float64)
        for factor in match.factors[1:]:
            update = update @ read(factor)
        weight: Array = (read(match.weight) + match.scale * update).astype(np.float32)
        return weight

    name, dtype = f"{match.weight.name}.with_lora", match.weight.dtype
    weight = add_weight(graph, name, dtype, dims(match.weight), merged)
    # `substitute` gives the new value the old one's type and shape, which may be unknown.
    match.output.shape, match.output.type = weight.shape, weight.type
    substitute(match.output, weight)


RULE = Rule("lora_weight", _candidates, _match, _rewrite)
