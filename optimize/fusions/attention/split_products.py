"""`split(x [W1 W2 ..])` -> `x W1, x W2, ..`: one MatMul per part, with the weight's own columns.

Opposite of packing, for graphs whose MatMuls become integer ones: the runtime quantizes the shared
input once for all of them, and the copy that Split makes of every part goes away. Exporters write
the two halves of a gated feed-forward that way (Shazeer 2020, "GLU Variants Improve Transformer").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    constant,
    consumed_by,
    derived_weight,
    dims,
    insert,
    int_of,
    read,
    substitute,
    weight_of,
)


@dataclass(frozen=True)
class _Parts:
    """A product, the Split behind it and how many columns each part has."""

    product: ir.Node
    split: ir.Node
    source: ir.Value
    weight: ir.TensorProtocol
    widths: tuple[int, ...]


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Splits of a MatMul's result."""
    for node in graph:
        value = node.inputs[0] if node.op_type == "Split" else None
        producer = value.producer() if value is not None else None
        if producer is not None and producer.op_type == "MatMul":
            yield node


def _match(split: ir.Node) -> _Parts:
    value = split.inputs[0]
    product = value.producer() if value is not None else None
    assert value is not None and product is not None
    consumed_by(value, "Split")
    weight, source = weight_of(product), product.inputs[1]
    if weight is None or source is None or len(weight.shape) != 2:
        raise NoMatch(f"{product.name} has no constant matrix")
    if not all(_is_split(reader) for reader in source.consumers()):
        raise NoMatch(f"{source.name} is also read whole: its columns would be stored twice")
    rank = len(value.shape) if value.shape is not None else 0
    if int_of(split, "axis", 0) not in (-1, rank - 1):
        raise NoMatch(f"{split.name} does not split the columns")
    return _Parts(product, split, source, weight, _widths(split, dims(weight)[1]))


def _is_split(product: ir.Node) -> bool:
    readers = product.outputs[0].consumers()
    is_whole = product.op_type != "MatMul" or product.outputs[0].is_graph_output()
    return not is_whole and len(readers) == 1 and readers[0].op_type == "Split"


def _widths(split: ir.Node, columns: int) -> tuple[int, ...]:
    """The columns of each part: as the second input says, or equal ones."""
    parts = len(split.outputs)
    if len(split.inputs) < 2 or split.inputs[1] is None:
        if columns % parts:
            raise NoMatch(f"{split.name} splits {columns} columns into {parts} unequal parts")
        return (columns // parts,) * parts
    sizes = constant(split.inputs[1])
    if sizes is None:
        raise NoMatch(f"{split.name} splits at a computed place")
    return tuple(int(size) for size in sizes)


def _rewrite(_graph: ir.Graph, match: _Parts) -> None:
    start = 0
    name, shape = match.product.name, match.product.outputs[0].shape
    lead = [None, None] if shape is None else list(shape)[:-1]
    for number, (width, old) in enumerate(zip(match.widths, match.split.outputs, strict=True)):
        stop = start + width
        weight = derived_weight(
            match.source,
            f"columns_{start}_{stop}",
            match.weight.dtype,
            (dims(match.weight)[0], width),
            partial(_columns, match.weight, start, stop),
        )
        inputs = [match.product.inputs[0], weight]
        (part,) = insert(
            match.product, "MatMul", inputs, name=f"{name}/part_{number}", shapes=[[*lead, width]]
        )
        substitute(old, part)
        start = stop


def _columns(weight: ir.TensorProtocol, start: int, stop: int) -> Array:
    return read(weight)[:, start:stop]


RULE = Rule("split_products", _candidates, _match, _rewrite)
