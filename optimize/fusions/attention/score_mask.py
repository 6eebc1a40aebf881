"""`softmax(where(mask, fill, scores + bias))` -> `softmax(scores + where(mask, lowest, bias))`.

A padding mask that was filled in becomes a part of the score bias, made once for all layers, which
`relative_attention` then takes. Exact for any mask: where the fill makes the weights zero, so does
any lower number, and a row that is masked in all places has equal weights, since nothing that is
added to so large a number changes it. A fill of minus infinity stays one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Dimension,
    NoMatch,
    add_constant,
    constant,
    insert,
    rank_of,
    scalar,
    substitute,
)

_MAX_FILL = -1e4
"""Fills above this are no masks: their places might keep some weight."""

_LOWEST = float(np.finfo(np.float32).min) / 2
"""Adding scores to it neither changes it nor overflows."""


@dataclass(frozen=True)
class _Masked:
    """Scores, what is added to them, and where a fill takes their place."""

    mask: ir.Value
    masks_true: bool
    fill: float
    scores: ir.Value
    bias: ir.Value | None
    softmax: ir.Node
    where: ir.Node


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Choices that a Softmax over float32 scores reads."""
    for node in graph:
        made = node.inputs[0].producer() if node.op_type == "Softmax" and node.inputs[0] else None
        if made is not None and made.op_type == "Where" and made.outputs[0].dtype is not None:
            yield node


def _match(softmax: ir.Node) -> _Masked:
    assert softmax.inputs[0] is not None
    where = softmax.inputs[0].producer()
    assert where is not None
    mask, first, second = where.inputs
    fill = scalar(first)
    masks_true = fill is not None
    filled, fill = (second, fill) if fill is not None else (first, scalar(second))
    if fill is None or mask is None or filled is None:
        raise NoMatch(f"{where.name} chooses between two tensors, not a fill and scores")
    if filled.dtype != ir.DataType.FLOAT:
        raise NoMatch(f"{filled.name} is not float32")
    if not fill <= _MAX_FILL:
        raise NoMatch(f"{where.name} fills {fill:g}, which is no mask")
    if len(where.outputs[0].uses()) != 1 or where.outputs[0].is_graph_output():
        raise NoMatch(f"{where.outputs[0].name} is read elsewhere too")
    scores, bias = _sum(filled)
    if rank_of(mask) is None or (rank_of(scores) or 0) < (rank_of(mask) or 0):
        raise NoMatch(f"{mask.name} has more axes than the scores, or an unknown number")
    return _Masked(mask, masks_true, fill, scores, bias, softmax, where)


def _sum(value: ir.Value) -> tuple[ir.Value, ir.Value | None]:
    """Scores and bias: the operand that comes from a product, and the other."""
    add = value.producer()
    if add is None or add.op_type != "Add" or len(value.uses()) != 1 or value.is_graph_output():
        return value, None
    for index in (0, 1):
        scores, bias = add.inputs[index], add.inputs[1 - index]
        if scores is not None and bias is not None and _is_product(scores):
            return scores, bias
    return value, None


def _is_product(value: ir.Value) -> bool:
    node = value.producer()
    while node is not None and node.op_type in ("Mul", "Div"):
        inner = next((v for v in node.inputs if v is not None and constant(v) is None), None)
        node = None if inner is None else inner.producer()
    return node is not None and node.op_type in ("MatMul", "Einsum")


def _rewrite(graph: ir.Graph, match: _Masked) -> None:
    bias = _masked_bias(graph, match)
    name = f"{match.where.name or 'mask'}/added"
    output = match.where.outputs[0]
    (new,) = insert(
        match.where, "Add", [match.scores, bias], name=name, shapes=[_shape(output.shape)]
    )
    substitute(output, new)


def _masked_bias(graph: ir.Graph, match: _Masked) -> ir.Value:
    """The bias with the fill where the mask has it; one serves all layers."""
    fill = match.fill if np.isinf(match.fill) else _LOWEST
    for reader in match.mask.consumers():
        if reader.op_type != "Where" or reader.graph is not graph or reader is match.where:
            continue
        held = reader.inputs[1 if match.masks_true else 2]
        other = reader.inputs[2 if match.masks_true else 1]
        same = other is match.bias or (match.bias is None and scalar(other) == 0)
        if scalar(held) == fill and same:
            return reader.outputs[0]
    lowest = add_constant(graph, f"{match.mask.name}/fill", np.array(fill, np.float32))
    bias = match.bias
    if bias is None:
        bias = add_constant(graph, f"{match.mask.name}/none", np.array(0, np.float32))
    chosen = [lowest, bias] if match.masks_true else [bias, lowest]
    (new,) = insert(
        match.where,
        "Where",
        [match.mask, *chosen],
        name=f"{match.mask.name}/bias",
        shapes=[_broadcast(match.mask.shape, bias.shape)],
    )
    return new


def _shape(shape: ir.Shape | None) -> list[Dimension] | None:
    return None if shape is None else list(shape)


def _broadcast(first: ir.Shape | None, second: ir.Shape | None) -> list[Dimension] | None:
    """The dimensions of two shapes together; None for a dimension that they do not tell."""
    if first is None or second is None:
        return None
    rank = max(len(first), len(second))
    a, b = ([*[1] * (rank - len(shape)), *shape.dims] for shape in (first, second))
    return [y if x == 1 else x if y == 1 or x == y else None for x, y in zip(a, b, strict=True)]


RULE = Rule("score_mask", _candidates, _match, _rewrite)
