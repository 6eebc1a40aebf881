"""Nodes that float16 would make wrong, by what is known of their values."""

from __future__ import annotations

import onnx_ir as ir

from optimize.precision.fp16.extremes import LARGEST, REAL, SMALLEST, SMALLEST_NORMAL
from optimize.precision.fp16.facts import Facts, is_fill, only_read_by, real_inputs
from optimize.surgery.graph import weight_of
from optimize.surgery.scopes import all_nodes, bodies_of
from vampnet_models.onnxfile.operators import WEIGHT_OPS

_COUNTS = "positions or lengths: float16 counts to 2048 only"
_SENSITIVE = {"Log": 0, "Sqrt": 0, "Reciprocal": 0, "Div": 1, "ReduceLogSum": 0}
"""Operators, and which of their inputs makes a large difference of a small one near zero."""


def by_facts(graph: ir.Graph, facts: Facts) -> dict[ir.Node, str]:
    """Nodes with values that are too large, too small or too exact, in a graph and its bodies."""
    reasons: dict[ir.Node, str] = {}
    for node in all_nodes(graph):
        if bodies_of(node) or not any(v is not None and v.dtype in REAL for v in _values(node)):
            continue
        reason = _by_attribute(node) or _by_size(node, facts) or _by_count(node, facts)
        if reason is not None:
            reasons[node] = reason
    for node in all_nodes(graph):
        _near_zero(node, facts, reasons)
    return reasons


def _values(node: ir.Node) -> tuple[ir.Value | None, ...]:
    return (*node.inputs, *node.outputs)


def _by_attribute(node: ir.Node) -> str | None:
    """Slopes, factors and thresholds that float16 kernels would round away or overflow."""
    for name, attribute in node.attributes.items():
        if attribute.type != ir.AttributeType.FLOAT or "epsilon" in name:
            continue
        size = abs(attribute.as_float())
        if size > LARGEST or 0 < size <= SMALLEST:
            return f"its {name} is {attribute.as_float():.3g}, which float16 cannot hold"
    return None


def _by_size(node: ir.Node, facts: Facts) -> str | None:
    heavy = node.op_type in WEIGHT_OPS
    for value in _values(node):
        if value is None or value.dtype not in REAL or is_fill(node, value):
            continue
        fact = facts[value]
        if fact.top > LARGEST:
            return f"{value.name} reaches {fact.top:.3g}, beyond float16's {LARGEST:g}"
        if fact.low < SMALLEST_NORMAL and (fact.constant or not heavy):
            lost = "rounds to zero" if fact.low <= SMALLEST else "loses its bits"
            return f"{value.name} is down to {fact.low:.3g}: it {lost} in float16"
    return None


def _by_count(node: ir.Node, facts: Facts) -> str | None:
    made = [facts[v].count for v in node.outputs if v.dtype in REAL]
    if any(made):
        return _COUNTS
    if node.op_type in WEIGHT_OPS and weight_of(node) is not None:
        return None
    if not any(fact.count for fact in real_inputs(node, facts)):
        return None
    # A bias of scores needs no more digits than the scores.
    biased = node.op_type == "Add" and only_read_by(node, ("Softmax",))
    return None if biased else _COUNTS


def _near_zero(node: ir.Node, facts: Facts, reasons: dict[ir.Node, str]) -> None:
    """Keep what leads from a square or a probability to where its small values count."""
    index = _SENSITIVE.get(node.op_type)
    value = node.inputs[index] if index is not None and index < len(node.inputs) else None
    if value is None or not facts[value].near_zero:
        return
    reason = f"before {node.op_type} small values count, which float16 rounds away"
    reasons.setdefault(node, reason)
    pending, seen = [value], {value}
    while pending:
        maker = pending.pop().producer()
        if maker is None:
            continue
        reasons.setdefault(maker, reason)
        if maker.op_type in ("Exp", "Sigmoid", "Softmax"):
            continue
        found = [v for v in maker.inputs if v is not None and facts[v].near_zero and v not in seen]
        seen.update(found)
        pending.extend(found)
