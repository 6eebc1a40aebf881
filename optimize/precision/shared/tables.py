"""Lookups in long tables: rows in 8 bits, a scale per row, multiplied after the lookup.

A table that is the weight of a converted product too (tied embeddings) reads that product's
integers, whether tables are asked for or not: in float it would be stored beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Conversion, Traits
from optimize.precision.shared.integer_weight import INT8, of_channels
from optimize.precision.shared.plan import code_path, constant_lookups
from optimize.surgery.graph import add_constant, dims, home_of, insert, substitute, weight_of
from optimize.surgery.stand_ins import stored_bytes, stored_turned

_MIN_ELEMENTS = 2048
"""Smaller tables stay: their scales and the extra nodes would eat the saving."""

_MIN_ROWS = 256
"""Shorter tables stay: a few rows weigh nothing."""

_TOLD_FROM_BYTES = 1_000_000
"""From this size on tables in float are worth a line."""


def lookups(graph: ir.Graph, traits: Traits) -> tuple[ir.Node, ...]:
    """Lookups in long constant tables, but for those that decide the codes."""
    decides = code_path(graph, traits)
    found = []
    for node in constant_lookups(graph, _MIN_ELEMENTS):
        table = weight_of(node, 0)
        assert table is not None
        if node not in decides and dims(table)[0] >= _MIN_ROWS:
            found.append(node)
    return tuple(found)


def lookups_of(
    products: Collection[ir.Node], graph: ir.Graph, traits: Traits, *, every: bool
) -> tuple[ir.Node, ...]:
    """The lookups to convert beside these nodes: those of tables that they multiply by, or all."""
    multiplied, decides = products_of(products), code_path(graph, traits)
    found = [n for n in constant_lookups(graph) if n.inputs[0] in multiplied and n not in decides]
    return tuple(dict.fromkeys((*found, *(lookups(graph, traits) if every else ()))))


def told(done: Conversion, graph: ir.Graph, traits: Traits) -> Conversion:
    """A conversion with a warning of the large tables that it left in float."""
    found = {node.inputs[0] for node in lookups(graph, traits)}
    n_bytes = sum(stored_bytes(table) for table in found if table is not None)
    if n_bytes < _TOLD_FROM_BYTES:
        return done
    line = f"tables of {n_bytes / 1e6:.1f} MB stay float: --tables stores their rows in 8 bits"
    return replace(done, warnings=(*done.warnings, line))


def products_of(nodes: Iterable[ir.Node]) -> dict[ir.Value, bool]:
    """The constants that MatMuls multiply by, and whether one does so as they are stored."""
    found: dict[ir.Value, bool] = {}
    for node in nodes:
        value = node.inputs[1] if node.op_type == "MatMul" else None
        if value is None:
            continue
        source = stored_turned(value)
        as_stored = found.get(source or value, False)
        found[source or value] = as_stored or source is None
    return found


def tied_to_lookups(nodes: Collection[ir.Node]) -> set[ir.Node]:
    """The MatMuls among these nodes whose weight is a table of the lookups among them."""
    tables = {node.inputs[0] for node in nodes if node.op_type == "Gather"}
    return {
        node
        for node in nodes
        if node.op_type == "MatMul" and (value := node.inputs[1]) is not None
        if (stored_turned(value) or value) in tables
    }


def convert(node: ir.Node, by_column: bool = False) -> None:
    """A lookup's rows in 8 bits, each times its scale, or each column times its own."""
    value, ids, output, name = node.inputs[0], node.inputs[1], node.outputs[0], node.name
    assert value is not None
    found, axis = of_channels(value, 1 if by_column else 0), {"axis": 0}
    lookup = insert(node, "Gather", [found.values, ids], axis, name=f"{name}/int8", dtypes=[INT8])
    (rows,) = insert(node, "Cast", lookup, {"to": ir.DataType.FLOAT}, name=f"{name}/cast")
    factors = found.scales
    if not by_column:
        (by_row,) = insert(node, "Gather", [factors, ids], axis, name=f"{name}/scales")
        last = add_constant(home_of(value), f"{name}.axes", np.array([-1], np.int64))
        (factors,) = insert(node, "Unsqueeze", [by_row, last], name=f"{name}/factors")
    (new,) = insert(node, "Mul", [rows, factors], name=f"{name}/rows", shapes=[output.shape])
    substitute(output, new)
