"""What a graph's structure tells where its declared interface does not."""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

_PASSES_ON = frozenset(
    ("Where", "Cast", "Mul", "Add", "Sub", "Clip", "Max", "Min", "Identity", "Mod")
)
"""What stands between a graph's codes and the look-up of each codebook."""


def operators_of(graph: ir.Graph) -> frozenset[str]:
    """The operator types of a graph, those of subgraphs included."""
    return frozenset(node.op_type for node in graph.all_nodes())


def codebooks_read(codes: ir.Value) -> int | None:
    """How many codebooks a graph looks up in `codes [batch, n, frames]`; None when unclear.

    Exporters that declare every axis dynamic lose the number, but each codebook is taken by a
    Gather of its constant index along axis 1, or all by one Split.
    """
    indices: set[int] = set()
    seen: set[int] = set()
    values = [codes]
    while values:
        value = values.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        for node in value.consumers():
            if node.op_type in _PASSES_ON:
                values.extend(node.outputs)
            elif node.op_type == "Gather" and node.inputs[0] is value:
                index = constant_of(node.inputs[1])
                if node.attributes.get_int("axis", 0) == 1 and index is not None:
                    indices.update(int(i) for i in index.reshape(-1))
            elif node.op_type == "Split" and node.attributes.get_int("axis", 0) == 1:
                return len(node.outputs)
    return max(indices) + 1 if indices and min(indices) >= 0 else None


_CARRIES = frozenset(
    ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Slice", "Split", "Concat")
)
"""What hands codes on to a look-up as they are."""

_PICKS = frozenset(("ArgMin", "ArgMax", "TopK"))
"""What gives codes in an encoder."""


def codebook_size_read(graph: ir.Graph) -> int | None:
    """How many codes a codec's codebooks have, by the rows of the tables that they look up.

    The least of them, where there are several; None where no code is looked up in a table.
    """
    values = [v for v in graph.inputs if v.dtype in (ir.DataType.INT64, ir.DataType.INT32)]
    values += [n.outputs[-1] for n in graph.all_nodes() if n.op_type in _PICKS]
    rows: set[int] = set()
    seen: set[int] = set()
    while values:
        value = values.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        for node in value.consumers():
            if node.op_type in _CARRIES or (node.op_type == "Gather" and node.inputs[0] is value):
                values.extend(node.outputs)
            elif node.op_type == "Gather" and node.attributes.get_int("axis", 0) == 0:
                table = None if node.inputs[0] is None else node.inputs[0].const_value
                if table is not None and len(table.shape) == 2:
                    rows.add(table.shape.numpy()[0])
    return min(rows, default=None)


_DOWN = frozenset(("Conv", "ConvInteger", "QLinearConv", "FusedConv", "NhwcConv"))
_UP = frozenset(("ConvTranspose",))
_MOST_HOP = 1 << 16


def hop_read(graph: ir.Graph, *, upward: bool) -> int | None:
    """The samples per frame that a codec's strides multiply to; None where they give none."""
    hop = math.prod(
        math.prod(node.attributes.get_ints("strides", (1,)))
        for node in graph.all_nodes()
        if node.op_type in (_UP if upward else _DOWN)
    )
    return hop if 1 < hop <= _MOST_HOP else None


def constant_of(value: ir.Value | None) -> NDArray[Any] | None:
    """The values of an initializer or a Constant node; None for anything computed."""
    if value is None or (value.is_graph_input() and value.const_value is None):
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()
