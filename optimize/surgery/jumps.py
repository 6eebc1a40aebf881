"""Which outputs of a model a small error changes a little, and which it may change altogether.

Behind ArgMax, TopK, a rounding or a comparison of computed values, the smallest error may flip a
choice; behind a random operator there is no answer to compare. The rest must come out alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from optimize.surgery.scopes import bodies_of
from vampnet_models.onnxfile.inference import infer
from vampnet_models.onnxfile.operators import RANDOM_OPS, REARRANGING_OPS

_Body = ir.Graph | ir.Function

_CHOOSING_OPS = frozenset(
    {
        *("ArgMax", "ArgMin", "TopK", "Hardmax", "NonMaxSuppression", "NonZero", "Unique"),
        *("Round", "Floor", "Ceil", "Sign", "Mod", "Compress"),
        *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"),
        *("QuantizeLinear", "DynamicQuantizeLinear", "Cast"),
    }
)
"""Operators that make steps of a continuous input; a Cast where it leaves the floats."""

_HANDING_ON = REARRANGING_OPS | {
    *("Concat", "Pad", "Where", "Shape", "Size", "Constant", "ConstantOfShape", "Cast", "CastLike"),
    *("SequenceAt", "SequenceConstruct", "SequenceInsert", "ConcatFromSequence"),
    "SplitToSequence",
}
"""Operators that hand values on without computing with them."""

_SHAPE_OPS = frozenset({"Shape", "Size", "ConstantOfShape"})
"""Operators that read no value of a float input."""

_BOUNDED_OPS = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
"""Operators whose answers lie between 0 and 1."""


@dataclass(frozen=True)
class Traits:
    """Of a value: computed in floats; behind a choice; behind a random draw; between 0 and 1."""

    computed: bool = False
    chosen: bool = False
    drawn: bool = False
    bounded: bool = False


def output_traits(model: ir.Model) -> dict[str, Traits]:
    """The traits of each output of the main graph. Types are inferred in place."""
    infer(model)
    found: dict[ir.Value, Traits] = {}
    _follow(model.graph, found, model)
    return {v.name or "": found.get(v, Traits()) for v in model.graph.outputs}


def _follow(nodes: Iterable[ir.Node], found: dict[ir.Value, Traits], model: ir.Model) -> None:
    for node in nodes:
        bodies = _bodies(node, model)
        traits = _of_bodies(node, bodies, found, model) if bodies else _of_node(node, found)
        found.update(dict.fromkeys(node.outputs, traits))


def _of_node(node: ir.Node, found: Mapping[ir.Value, Traits]) -> Traits:
    known = [found.get(value, Traits()) for value in node.inputs if value is not None]
    moves = node.op_type in _HANDING_ON and node.domain == ""
    computed = any(each.computed for each in known)
    if node.op_type in _SHAPE_OPS:
        computed = False
    elif not moves:
        computed = computed or any(_is_float(value) for value in node.outputs)
    return Traits(
        computed,
        any(each.chosen for each in known) or _chooses(node, found),
        any(each.drawn for each in known) or node.op_type in RANDOM_OPS,
        node.op_type in _BOUNDED_OPS or (moves and bool(known) and known[0].bounded),
    )


def _of_bodies(
    node: ir.Node, bodies: list[_Body], found: dict[ir.Value, Traits], model: ir.Model
) -> Traits:
    """What the bodies of a node, or the function that it calls, make of what it is given."""
    given = [found.get(value, Traits()) for value in node.inputs if value is not None]
    # A branch or a number of rounds that is computed is a choice as well.
    decided = node.op_type in ("If", "Loop") and any(each.computed for each in given[:1])
    loops = node.op_type in ("Loop", "Scan")
    # From what an earlier round of a loop around this one has found: else each would double it.
    held = [found.get(value, Traits()) for b in bodies for value in b.inputs] if loops else []
    entering = _united([*given, *held])
    while True:
        for body in bodies:
            found.update(dict.fromkeys(body.inputs, entering))
            _follow(body, found, model)
        outputs = [found.get(value, Traits()) for body in bodies for value in body.outputs]
        traits = _united([entering, *outputs])
        if not loops or traits == entering:
            break
        # What a loop hands on comes in again, until nothing is added.
        entering = traits
    bounded = bool(outputs) and all(each.bounded for each in outputs)
    return replace(traits, chosen=traits.chosen or decided, bounded=bounded)


def _united(traits: Iterable[Traits]) -> Traits:
    """Computed, chosen, drawn where any is."""
    each = list(traits)
    return Traits(
        any(t.computed for t in each), any(t.chosen for t in each), any(t.drawn for t in each)
    )


def _chooses(node: ir.Node, found: Mapping[ir.Value, Traits]) -> bool:
    if node.op_type not in _CHOOSING_OPS:
        return False
    if node.op_type == "Cast":
        to = node.attributes.get("to")
        if to is None or ir.DataType(to.as_int()).is_floating_point():
            return False
    return any(
        value is not None and _is_float(value) and found.get(value, Traits()).computed
        for value in node.inputs
    )


def _is_float(value: ir.Value) -> bool:
    """Whether a value is float, or of a type that nothing tells."""
    return value.dtype is None or value.dtype.is_floating_point()


def _bodies(node: ir.Node, model: ir.Model) -> list[_Body]:
    """The bodies of a node, or the function that it calls."""
    function = model.functions.get(node.op_identifier())
    return [*bodies_of(node), *([] if function is None else [function])]
