"""`sum(x^2)`: ReduceSumSquare -> Mul and ReduceSum, for compilers that do not know the former.

Qualcomm's NPU compiler refuses ReduceSumSquare, and the codec's encoder has one per codebook: each
cut its graph in two.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import NoMatch, insert, int_of, substitute


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    yield from (node for node in graph if node.op_type == "ReduceSumSquare")


def _match(node: ir.Node) -> ir.Node:
    if node.inputs[0] is None or node.inputs[0].dtype not in (ir.DataType.FLOAT, None):
        raise NoMatch("it does not sum float32")
    return node


def _rewrite(graph: ir.Graph, node: ir.Node) -> None:
    x, name = node.inputs[0], node.name or "sum_of_squares"
    assert x is not None
    (squared,) = insert(node, "Mul", [x, x], name=f"{name}/squared", shapes=[x.shape])
    kept = {
        key: int_of(node, key, default)
        for key, default in (("keepdims", 1), ("noop_with_empty_axes", 0))
    }
    (total,) = insert(
        node,
        "ReduceSum",
        [squared, *node.inputs[1:]],
        kept,
        name=f"{name}/sum",
        shapes=[node.outputs[0].shape],
    )
    substitute(node.outputs[0], total)


RULE = Rule("sum_of_squares", _candidates, _match, _rewrite)
