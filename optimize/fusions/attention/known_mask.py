"""A mask that is known to keep everything disappears: `where(false, fill, x)` -> `x`.

Exporters write an all-true padding mask of any length as ConstantOfShape or Expand, with Casts,
comparisons and slices behind it. A bias that is zero in every place goes likewise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.dimensions import dimensions
from optimize.surgery.graph import NoMatch, graph_of, substitute
from optimize.surgery.uniform import uniform


@dataclass(frozen=True)
class _Known:
    """What a node always hands on, and what it makes."""

    kept: ir.Value
    output: ir.Value


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Choices between a value and a fill that are made already, and sums with nothing."""
    for node in graph:
        chosen = node.op_type == "Where" and uniform(node.inputs[0]) is not None
        if chosen or (node.op_type == "Add" and _zero(node) is not None):
            yield node


def _zero(add: ir.Node) -> int | None:
    """Which operand of a sum is made at run time and zero in every place."""
    for index, value in enumerate(add.inputs):
        if value is not None and value.producer() is not None and uniform(value) == 0:
            return index
    return None


def _match(node: ir.Node) -> _Known:
    if node.op_type == "Where":
        kept = node.inputs[1 if uniform(node.inputs[0]) else 2]
        others = [v for v in node.inputs if v is not kept and v is not None]
    else:
        index = _zero(node)
        assert index is not None
        kept, others = node.inputs[1 - index], [v for v in (node.inputs[index],) if v is not None]
    if kept is None or kept.producer() is None or kept.graph is not graph_of(node):
        raise NoMatch(f"{node.name} hands on what another graph or no node makes")
    if node.outputs[0].is_graph_output():
        raise NoMatch(f"{node.outputs[0].name} is a graph output")
    known = dimensions(graph_of(node))
    for other in others:
        if not known.fits(other, kept):
            raise NoMatch(f"{other.name} with the shape {other.shape} may widen {kept.name}")
    return _Known(kept, node.outputs[0])


def _rewrite(graph: ir.Graph, match: _Known) -> None:
    kept_type, kept_shape = match.kept.type, match.kept.shape
    substitute(match.output, match.kept)
    match.kept.type, match.kept.shape = kept_type, kept_shape


RULE = Rule("known_mask", _candidates, _match, _rewrite)
