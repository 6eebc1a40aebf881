"""Codebooks stored once: the rows that are searched are made from those that are looked up.

A residual quantizer's search multiplies by the codebook with rows of length one, turned; exporters
store that matrix beside the codebook itself. Here nodes make it, and the runtime folds them when
it loads the model: the file loses a table per codebook, and the speed stays.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Traits
from optimize.precision.shared.plan import code_path, constant_lookups
from optimize.surgery.graph import Array, add_constant, dims, insert, read, weight_of

_CLOSE = 1e-6
"""Rows of length one differ by no more where they are the same: a few roundings."""


def share(model: ir.Model, traits: Traits, tables: Mapping[ir.Node, Array] | None = None) -> int:
    """Make each searched matrix from its codebook, in place; how many are made.

    `tables` are the codebooks of lookups whose table is no float32 constant any more.
    """
    graph = model.graph
    known = tables if tables is not None else codebooks(graph, traits)
    done = 0
    for node in code_path(graph, traits):
        matrix = weight_of(node) if node.op_type == "MatMul" else None
        if matrix is None or len(dims(matrix)) != 2:
            continue
        lookup = next((n for n, table in known.items() if _is_made_of(read(matrix), table)), None)
        if lookup is None:
            continue
        _make(graph, node, lookup)
        done += 1
    return done


def codebooks(graph: ir.Graph, traits: Traits) -> dict[ir.Node, Array]:
    """The tables of the lookups among what decides the codes."""
    decides = code_path(graph, traits)
    found = {}
    for node in constant_lookups(graph):
        table = weight_of(node, 0)
        if node in decides and table is not None:
            found[node] = read(table)
    return found


def _is_made_of(matrix: Array, table: Array) -> bool:
    if matrix.shape != table.shape[::-1]:
        return False
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    return bool(lengths.all() and np.abs((table / lengths).T - matrix).max() <= _CLOSE)


def _make(graph: ir.Graph, node: ir.Node, lookup: ir.Node) -> None:
    table, name = lookup.inputs[0], node.name
    axes = add_constant(graph, f"{name}/axes", np.array([1], np.int64))
    (lengths,) = insert(node, "ReduceL2", [table, axes], {"keepdims": 1}, name=f"{name}/lengths")
    (rows,) = insert(node, "Div", [table, lengths], name=f"{name}/rows")
    (turned,) = insert(node, "Transpose", [rows], {"perm": [1, 0]}, name=f"{name}/turned")
    node.replace_input_with(1, turned)
