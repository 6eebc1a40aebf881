"""`x * Gelu(gate)` -> one operator of the optional library, where both have one shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.dimensions import dimensions
from optimize.surgery.graph import NoMatch, graph_of, insert, rank_of, string_of, substitute
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN

_MOST_AXES = 4
"""The library's tensors have no more."""


@dataclass(frozen=True)
class _Gate:
    """The product, what is gated, and what the GELU is of."""

    product: ir.Node
    x: ir.Value
    gate: ir.Value


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """A Gelu in its tanh form that a Mul alone reads."""
    for node in graph:
        readers = node.outputs[0].consumers() if node.op_type == "Gelu" else ()
        if len(readers) == 1 and readers[0].op_type == "Mul":
            yield node


def _match(gelu: ir.Node) -> _Gate:
    if string_of(gelu, "approximate", "none") != "tanh":
        raise NoMatch("its GELU is not of the tanh form, which the library computes")
    made, gate = gelu.outputs[0], gelu.inputs[0]
    product = made.consumers()[0]
    x = product.inputs[1] if product.inputs[0] is made else product.inputs[0]
    if x is None or gate is None or x is made or made.is_graph_output():
        raise NoMatch("it is no gate of another value")
    rank = rank_of(gate)
    if rank is None or not 0 < rank <= _MOST_AXES:
        raise NoMatch(f"its axes are not 1 to {_MOST_AXES}")
    known = dimensions(graph_of(gelu))
    shape = known.of(gate)
    if shape is None or shape != known.of(x):
        raise NoMatch("what it gates may have another shape")
    return _Gate(product, x, gate)


def _rewrite(_graph: ir.Graph, found: _Gate) -> None:
    node = found.product
    (made,) = insert(
        node,
        "GatedGelu",
        [found.x, found.gate],
        name=f"{node.name}/native",
        domain=NATIVE_DOMAIN,
        shapes=[node.outputs[0].shape],
    )
    substitute(node.outputs[0], made)


RULE = Rule("native_gate", _candidates, _match, _rewrite)
