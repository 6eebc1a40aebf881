"""Gemm with a constant weight -> MatMul and Add, the form that the precisions work on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.graph import (
    Array,
    NoMatch,
    add_weight,
    dims,
    insert,
    int_of,
    read,
    substitute,
    weight_of,
)


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    yield from (node for node in graph if node.op_type == "Gemm")


def _match(node: ir.Node) -> ir.Node:
    if weight_of(node) is None:
        raise NoMatch("its weight is not constant")
    if int_of(node, "transA", 0):
        raise NoMatch("its first operand is transposed")
    for name in ("alpha", "beta"):
        attribute = node.attributes.get(name)
        if attribute is not None and attribute.as_float() != 1.0:
            raise NoMatch(f"its {name} is {attribute.as_float():g}, not 1")
    return node


def _rewrite(graph: ir.Graph, node: ir.Node) -> None:
    name = node.name or "gemm"
    value, tensor = node.inputs[1], weight_of(node)
    assert value is not None and tensor is not None
    weight = value
    if int_of(node, "transB", 0):
        n_out, n_in = dims(tensor)

        def transposed() -> Array:
            return np.ascontiguousarray(read(tensor).T)

        weight = add_weight(
            graph, f"{value.name}.transposed", tensor.dtype, (n_in, n_out), transposed
        )
    shape = node.outputs[0].shape
    (result,) = insert(
        node, "MatMul", [node.inputs[0], weight], name=f"{name}/MatMul", shapes=[shape]
    )
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        (result,) = insert(
            node, "Add", [result, node.inputs[2]], name=f"{name}/bias", shapes=[shape]
        )
    substitute(node.outputs[0], result)


RULE = Rule("gemm", _candidates, _match, _rewrite)
