"""Which outputs of a model a small error changes a little, and which it may change altogether.

Behind ArgMax, TopK, a rounding or a comparison of computed values, the smallest error may flip a
choice; behind a random operator there is no answer to compare. The rest must come out alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from optimize.equal_nodes import RANDOM_OPS

CHOOSING_OPS = frozenset(
    {
        *("ArgMax", "ArgMin", "TopK", "Hardmax", "NonMaxSuppression", "NonZero", "Unique"),
        *("Round", "Floor", "Ceil", "Sign", "Mod", "Compress"),
        *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
        *("QuantizeLinear", "DynamicQuantizeLinear", "Cast"),
    }
)
"""Operators that make steps of a continuous input; a Cast where it leaves the floats."""

MOVING_OPS = frozenset(
    {
        *("Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split"),
        *("Concat", "Gather", "GatherND", "GatherElements", "Expand", "Tile", "Pad", "Where"),
        *("Shape", "Size", "Constant", "ConstantOfShape", "Cast", "CastLike", "SequenceAt"),
        *("SequenceConstruct", "SequenceInsert", "ConcatFromSequence", "SplitToSequence"),
    }
)
"""Operators that hand values on without computing with them."""

BOUNDED_OPS = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
"""Operators whose answers lie between 0 and 1."""


@dataclass(frozen=True)
class Traits:
    """Of a value: computed in floats; behind a choice; behind a random draw; between 0 and 1."""

    computed: bool = False
    chosen: bool = False
    drawn: bool = False
    bounded: bool = False


def output_traits(model: ir.Model) -> dict[str, Traits]:
    """The traits of each output of the main graph."""
    found: dict[ir.Value, Traits] = {}
    for node in model.graph:
        traits = _of_node(node, found, model)
        for value in node.outputs:
            found[value] = traits
    return {v.name or "": found.get(v, Traits()) for v in model.graph.outputs}


def _of_node(node: ir.Node, found: dict[ir.Value, Traits], model: ir.Model) -> Traits:
    inner = list(_inner(node, model))
    read = [value for each in (node, *inner) for value in each.inputs if value is not None]
    known = [found.get(value, Traits()) for value in read]
    computed = any(each.computed for each in known)
    moves = node.op_type in MOVING_OPS and node.domain == ""
    if inner:
        moves = all(each.op_type in MOVING_OPS for each in inner)
    computes = not moves and any(_is_float(v) for each in (node, *inner) for v in each.outputs)
    chooses = any(
        _chooses(each, computed if each is node else computed or computes)
        for each in (node, *inner)
    )
    return Traits(
        computed or computes,
        chooses or any(each.chosen for each in known),
        any(each.op_type in RANDOM_OPS for each in (node, *inner))
        or any(each.drawn for each in known),
        node.op_type in BOUNDED_OPS or (moves and bool(known) and known[0].bounded),
    )


def _chooses(node: ir.Node, computed: bool) -> bool:
    if node.op_type not in CHOOSING_OPS or not computed:
        return False
    if node.op_type != "Cast":
        return True
    to = node.attributes.get("to")
    return to is not None and not ir.DataType(to.as_int()).is_floating_point()


def _is_float(value: ir.Value) -> bool:
    """Whether a value is float, or of a type that nothing tells."""
    return value.dtype is None or value.dtype.is_floating_point()


def _inner(node: ir.Node, model: ir.Model) -> Iterable[ir.Node]:
    """The nodes of a node's bodies, and those of the function that it calls."""
    for attribute in node.attributes.values():
        if attribute.type is ir.AttributeType.GRAPH:
            yield from ir.traversal.RecursiveGraphIterator(attribute.as_graph())
        elif attribute.type is ir.AttributeType.GRAPHS:
            for graph in attribute.as_graphs():
                yield from ir.traversal.RecursiveGraphIterator(graph)
    function = model.functions.get(node.op_identifier())
    if function is not None:
        yield from ir.traversal.RecursiveGraphIterator(function)
