"""`softmax(scale q k' + bias[key - query]) v` -> one operator of the optional library.

The bias of a MultiHeadAttention depends on `key - query` alone, so it is computed for the `2 T - 1`
offsets in place of `T x T` pairs, and the operator's scores never leave the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.attention.relative_attention import attentions, plain_scale
from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    NoMatch,
    add_constant,
    constant,
    insert,
    int_of,
    ints_of,
    scalar,
    substitute,
)
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN

_OFFSETS = "/offsets"
"""Ends the name of what was made for all attentions by the first that was rewritten."""

_BY_ELEMENT = frozenset(
    {
        *("Abs", "Add", "Sub", "Mul", "Div", "Neg", "Log", "Min", "Max", "Clip", "Cast", "Where"),
        *("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "Not", "And", "Or"),
        *("Identity", "Shape", "ConstantOfShape", "Expand", "Gather", "Unsqueeze"),
    }
)
"""Operators that give each offset its own result, whatever offsets stand beside it."""


@dataclass(frozen=True)
class _Match:
    """An attention, and the difference of positions that its bias is made of (None: replaced)."""

    node: ir.Node
    scale: float
    difference: ir.Node | None
    length: ir.Value | None


def _match(node: ir.Node) -> _Match:
    scale = _plain(node)
    difference = _difference(node.inputs[5])
    if difference is None:
        return _Match(node, scale, None, None)
    length = _length(difference)
    for reader in _readers(difference.outputs[0]):
        _plain(reader)
        _require_heads(reader)
    return _Match(node, scale, difference, length)


def _plain(node: ir.Node) -> float:
    """The scale of an attention of all to all with a position bias."""
    scale = plain_scale(node)
    if len(node.inputs) < 6 or node.inputs[5] is None:
        raise NoMatch(f"{node.name} has no position bias")
    return scale


def _require_heads(node: ir.Node) -> None:
    """The bias has a table for each head, the same for the whole batch."""
    bias, heads = node.inputs[5], int_of(node, "num_heads", 1)
    shape = bias.shape if bias is not None else None
    if shape is None or len(shape) != 4 or shape[0] not in (None, 1) or shape[1] != heads:
        raise NoMatch(f"the bias of {node.name} has the shape {shape}, not [1, {heads}, q, k]")


def _difference(bias: ir.Value | None) -> ir.Node | None:
    """The Sub of positions far above the bias; None where offsets stand in its place."""
    seen, waiting = set[ir.Node](), [bias]
    while waiting:
        value = waiting.pop()
        node = value.producer() if value is not None else None
        if node is None or node in seen:
            continue
        seen.add(node)
        if (node.name or "").endswith(_OFFSETS):
            return None
        if node.op_type == "Sub" and all(_range_above(each) is not None for each in node.inputs):
            return node
        waiting.extend(node.inputs)
    raise NoMatch("its bias is not made of a difference of positions")


def _range_above(value: ir.Value | None) -> tuple[ir.Node, int] | None:
    """The Range behind an Unsqueeze, and the axis that it adds."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "Unsqueeze":
        return None
    axes, source = constant(node.inputs[1]), node.inputs[0]
    maker = source.producer() if source is not None else None
    if axes is None or axes.size != 1 or maker is None or maker.op_type != "Range":
        return None
    return maker, int(axes.flat[0])


def _length(difference: ir.Node) -> ir.Value:
    """The number of positions, where the Sub is `key [1, T] - query [T, 1]` from 0 on."""
    key, query = (_range_above(value) for value in difference.inputs)
    if key is None or query is None or (key[1], query[1]) != (0, 1):
        raise NoMatch(f"{difference.name} is not key positions less query positions")
    for maker, _ in (key, query):
        if scalar(maker.inputs[0]) != 0 or scalar(maker.inputs[2]) != 1:
            raise NoMatch(f"{maker.name} does not count from 0 by 1")
    length = key[0].inputs[1]
    if length is None or query[0].inputs[1] is not length:
        raise NoMatch("keys and queries are not as many")
    return length


def _readers(difference: ir.Value) -> list[ir.Node]:
    """The attentions below a difference of positions. Raises NoMatch where it goes elsewhere."""
    found, seen, waiting = list[ir.Node](), set[ir.Node](), [difference]
    while waiting:
        value = waiting.pop()
        if value.is_graph_output():
            raise NoMatch(f"{value.name} is an output of the model")
        for node in value.consumers():
            if node in seen:
                continue
            seen.add(node)
            if node.op_type == "MultiHeadAttention":
                if [value is each for each in node.inputs].index(True) != 5:
                    raise NoMatch(f"{node.name} reads positions beside its bias")
                found.append(node)
            elif node.op_type in _BY_ELEMENT or _keeps_columns(node):
                waiting.extend(node.outputs)
            else:
                raise NoMatch(f"{node.name} ({node.op_type}) may mix offsets")
    return found


def _keeps_columns(node: ir.Node) -> bool:
    """Whether a Transpose leaves queries before keys: heads come first, or batch and heads swap."""
    return node.op_type == "Transpose" and ints_of(node, "perm", ()) in ((2, 0, 1), (1, 0, 2, 3))


def _replace(graph: ir.Graph, difference: ir.Node, length: ir.Value) -> None:
    """Let what was made of all pairs be made of the offsets from `1 - T` to `T - 1`."""
    name, output = difference.name or "difference", difference.outputs[0]
    one = add_constant(graph, f"{name}/one", np.array(1, np.int64))
    whole = [ir.DataType.INT64]
    (first,) = insert(difference, "Sub", [one, length], name=f"{name}/first", dtypes=whole)
    (line,) = insert(difference, "Range", [first, length, one], name=f"{name}/line", dtypes=whole)
    axis = add_constant(graph, f"{name}/axis", np.array([0], np.int64))
    (offsets,) = insert(
        difference, "Unsqueeze", [line, axis], name=f"{name}{_OFFSETS}", dtypes=whole
    )
    stale = [output]
    while stale:
        for node in stale.pop().consumers():
            if node.op_type != "MultiHeadAttention":
                stale.extend(node.outputs)
                for value in node.outputs:
                    _forget_lengths(value)
    substitute(output, offsets)


def _forget_lengths(value: ir.Value) -> None:
    """Where all pairs stood, one row of offsets stands: only the heads' axis keeps its size."""
    if value.shape is not None:
        value.shape = ir.Shape([None] * len(value.shape))


def _rule(name: str, operator: str) -> Rule[_Match]:
    def rewrite(graph: ir.Graph, match: _Match) -> None:
        node = match.node
        if match.difference is not None and match.length is not None:
            _replace(graph, match.difference, match.length)
        scale = add_constant(graph, f"{node.name}.scale", np.array([match.scale], np.float32))
        inputs = [*node.inputs[:3], node.inputs[5], scale]
        (new,) = insert(node, operator, inputs, name=f"{node.name}/native", domain=NATIVE_DOMAIN)
        substitute(node.outputs[0], new)

    return Rule(name, attentions, _match, rewrite)


RULE = _rule("native_attention", "RelativeAttention")
RULE_BFLOAT16 = _rule("native_attention", "RelativeAttentionBfloat16")
"""Products in bfloat16 where the processor has it: for models that are quantized anyway."""
