"""`W x` -> `(x' W')'`, and `x W[1, .., in, out]` -> `x W[in, out]`: one matrix on the right.

As the precisions take a MatMul's constant. The transposes of the activation cost little beside the
product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.fusions.weights.transposed_weight import turned
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    derived_weight,
    dims,
    graph_of,
    insert,
    rank_of,
    read,
    substitute,
    tensor_of,
    weight_of,
)
from optimize.surgery.scopes import all_nodes

_MIN_ELEMENTS = 2048
"""Smaller constants stay as they are: no precision gains from them."""


@dataclass(frozen=True)
class _Product:
    """A MatMul with a constant, its other operand, and how many axes that has."""

    node: ir.Node
    value: ir.Value
    x: ir.Value
    is_left: bool
    rank: int


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """MatMuls whose constant has leading axes of 1, or is the left operand."""
    for node in all_nodes(graph):
        if node.op_type != "MatMul":
            continue
        right, left = weight_of(node), weight_of(node, 0)
        found = right if right is not None else left
        if found is None or found.size < _MIN_ELEMENTS or len(dims(found)) < 2:
            continue
        if any(size != 1 for size in dims(found)[:-2]):
            continue
        if right is None or len(dims(found)) > 2:
            yield node


def _match(node: ir.Node) -> _Product:
    is_left = weight_of(node) is None
    value, x = node.inputs[0 if is_left else 1], node.inputs[1 if is_left else 0]
    assert value is not None and x is not None
    rank = rank_of(x)
    if rank is None or rank < 2:
        raise NoMatch(f"{x.name}: has not two axes or more, as far as is known")
    return _Product(node, value, x, is_left, rank)


def _rewrite(_graph: ir.Graph, match: _Product) -> None:
    node, output = match.node, match.node.outputs[0]
    tensor = tensor_of(match.value)
    assert tensor is not None
    n_lost = max(0, len(dims(tensor)) - match.rank)
    matrix, x = _matrix(match.value, tensor), match.x
    if match.is_left:
        last = [*range(match.rank - 2), match.rank - 1, match.rank - 2]
        x = _moved(node, x, last, "x")
        product = _product(node, x, turned(matrix))
        result = _moved(node, product, last, "y")
    else:
        result = _product(node, x, matrix)
    if n_lost:
        axes = np.arange(n_lost, dtype=np.int64)
        at = add_constant(graph_of(node), f"{node.name}.axes", axes)
        (result,) = insert(node, "Unsqueeze", [result, at], name=f"{node.name}/axes")
    substitute(output, result)


def _product(node: ir.Node, x: ir.Value, matrix: ir.Value) -> ir.Value:
    tensor = tensor_of(matrix)
    assert tensor is not None
    shape = None if x.shape is None else [*list(x.shape)[:-1], dims(tensor)[1]]
    name = f"{node.name}/matrix"
    return insert(node, "MatMul", [x, matrix], name=name, shapes=[shape])[0]


def _moved(node: ir.Node, value: ir.Value, perm: list[int], word: str) -> ir.Value:
    shape = None if value.shape is None else [value.shape[axis] for axis in perm]
    attributes, name = {"perm": perm}, f"{node.name}/{word}"
    return insert(node, "Transpose", [value], attributes, name=name, shapes=[shape])[0]


def _matrix(value: ir.Value, tensor: ir.TensorProtocol) -> ir.Value:
    shape = dims(tensor)[-2:]
    if len(dims(tensor)) == 2:
        return value

    def reshaped() -> Array:
        return read(tensor).reshape(shape)

    return derived_weight(value, "matrix", tensor.dtype, shape, reshaped)


RULE = Rule("product_weight", _candidates, _match, _rewrite)
