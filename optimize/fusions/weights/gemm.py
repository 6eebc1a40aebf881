"""`alpha A B + beta C` -> MatMul and Add, the form that the precisions work on.

For a Gemm with a constant operand. `alpha` and `beta` become factors, of a constant at once;
transposed constants are stored as they are read, transposed activations get a Transpose.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.fusions.weights.transposed_weight import turned
from optimize.surgery.graph import (
    NoMatch,
    add_constant,
    constant,
    home_of,
    insert,
    int_of,
    substitute,
    tensor_of,
    weight_of,
)
from optimize.surgery.scopes import all_nodes, derived


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    yield from (node for node in all_nodes(graph) if node.op_type == "Gemm")


def _match(node: ir.Node) -> ir.Node:
    if weight_of(node) is None and weight_of(node, 0) is None:
        raise NoMatch("its weight is not constant")
    return node


def _rewrite(_graph: ir.Graph, node: ir.Node) -> None:
    name = node.name or "gemm"
    left, right = (_operand(node, index) for index in (0, 1))
    shape = node.outputs[0].shape
    (result,) = insert(node, "MatMul", [left, right], name=f"{name}/MatMul", shapes=[shape])
    alpha = _factor(node, "alpha")
    if alpha != 1.0:
        result = _scaled(node, result, alpha, "alpha")
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None:
        beta = _factor(node, "beta")
        if beta != 1.0:
            bias = _scaled(node, bias, beta, "beta")
        (result,) = insert(node, "Add", [result, bias], name=f"{name}/bias", shapes=[shape])
    substitute(node.outputs[0], result)


def _factor(node: ir.Node, name: str) -> float:
    attribute = node.attributes.get(name)
    return 1.0 if attribute is None else attribute.as_float()


def _operand(node: ir.Node, index: int) -> ir.Value:
    """The matrix at an input as MatMul reads it."""
    value = node.inputs[index]
    assert value is not None
    letter = "AB"[index]
    if not int_of(node, f"trans{letter}", 0):
        return value
    if tensor_of(value) is not None:
        return turned(value)
    shape = None if value.shape is None else list(value.shape)[::-1]
    perm, name = {"perm": [1, 0]}, f"{node.name}/{letter}"
    return insert(node, "Transpose", [value], perm, name=name, shapes=[shape])[0]


def _scaled(node: ir.Node, value: ir.Value, factor: float, word: str) -> ir.Value:
    """`value` times a factor: a constant of its own where it is small and constant."""
    values = constant(value)
    if values is None:
        by = add_constant(home_of(value), f"{node.name}.{word}", np.array(factor, np.float32))
        shapes = [value.shape]
        return insert(node, "Mul", [value, by], name=f"{node.name}/{word}", shapes=shapes)[0]

    def make() -> tuple[ir.Value]:
        return (add_constant(home_of(value), f"{value.name}.{word}", values * np.float32(factor)),)

    return derived(value, (word, factor), make)[0]


RULE = Rule("gemm", _candidates, _match, _rewrite)
