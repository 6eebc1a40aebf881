"""Angles: what Sin and Cos read, where float16 would be off by a part of a turn.

A position or a time step of 1000 has no more than an eighth behind the point in float16. What is
read by both is such an embedding, a rotation or a phase: few values, kept up to what is learned.
What one of them alone reads is kept where constants multiply it by more than layers do.
"""

from __future__ import annotations

import onnx_ir as ir

from optimize.precision.fp16.facts import HANDING_ON, Facts, is_outer_product
from optimize.precision.fp16.forms import is_float
from optimize.surgery.scopes import all_nodes

_ANGLE = "makes an angle: float16 is too coarse for its sine"

_LARGE_GAIN = 128.0
"""An ordinary value times this is off by a sixteenth in float16."""

_WAVES = ("Sin", "Cos")
_PRODUCTS = ("Einsum", "MatMul")
_STEPS = (*HANDING_ON, *_PRODUCTS, "Add", "Div", "Mul", "Neg", "Sub")


def by_angles(graph: ir.Graph, facts: Facts) -> dict[ir.Node, str]:
    """The nodes that make angles, and those that read them, in a graph and its bodies."""
    found: dict[ir.Node, str] = {}
    for node in all_nodes(graph):
        value = node.inputs[0] if node.op_type in _WAVES else None
        if value is None or not is_float(value):
            continue
        chain, gain = _made_by(value, facts)
        both = {reader.op_type for reader in value.consumers()}.issuperset(_WAVES)
        if both or gain >= _LARGE_GAIN:
            found.update(dict.fromkeys((node, *chain), _ANGLE))
    return found


def _made_by(value: ir.Value, facts: Facts) -> tuple[list[ir.Node], float]:
    """The steps that make a value, back to what is learned or given, and their largest gain."""
    chain: dict[ir.Node, None] = {}
    gains = {value: 1.0}
    pending, largest = [value], 1.0
    while pending:
        current = pending.pop()
        maker = current.producer()
        if maker is None or maker in chain or maker.op_type not in _STEPS:
            continue
        inputs = [v for v in maker.inputs if v is not None and is_float(v)]
        constants = [v for v in inputs if facts[v].constant]
        if maker.op_type in _PRODUCTS and constants and not is_outer_product(maker):
            continue
        chain[maker] = None
        gain = gains[current]
        for each in constants:
            if maker.op_type in ("Mul", *_PRODUCTS):
                gain *= facts[each].top
            elif maker.op_type == "Div" and each is maker.inputs[1]:
                gain /= facts[each].top or 1.0
        largest = max(largest, gain)
        for each in inputs:
            if each not in gains and each not in constants:
                gains[each] = gain
                pending.append(each)
    return list(chain), largest
