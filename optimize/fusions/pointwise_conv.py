"""Conv with kernel 1 beside Transposes -> MatMul, without them.

`Transpose(Conv(Transpose(x)))` on `[batch, length, channels]` is a Linear. Exporters write the
embedding and the classifier of VampNet so; as MatMul they use the runtime's packed and integer
kernels. A Conv is rewritten when that leaves fewer channels to transpose than before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.graph import (
    Array,
    NoMatch,
    add_weight,
    dims,
    insert,
    int_of,
    ints_of,
    read,
    substitute,
    tensor_of,
)

SWAP = (0, 2, 1)


@dataclass(frozen=True)
class Pointwise:
    """A matched Conv `[out, in, 1]` and what surrounds it."""

    conv: ir.Node
    rows: ir.Value | None
    """The input as `[batch, length, in]` where a Transpose made the Conv's input from it."""
    swapped: tuple[ir.Value, ...]
    """Outputs of the Transposes that turn the Conv's output into rows."""
    reads_columns: bool
    """Whether anything else reads the Conv's output."""


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """One-dimensional Convs with kernel 1 and a Transpose on either side."""
    for node in graph:
        tensor = tensor_of(node.inputs[1]) if node.op_type == "Conv" else None
        if tensor is None or len(tensor.shape) != 3 or dims(tensor)[2] != 1:
            continue
        source = node.inputs[0].producer() if node.inputs[0] is not None else None
        readers = node.outputs[0].consumers()
        if any(n is not None and n.op_type == "Transpose" for n in (source, *readers)):
            yield node


def _match(conv: ir.Node) -> Pointwise:
    weight = tensor_of(conv.inputs[1])
    x = conv.inputs[0]
    if weight is None or x is None:
        raise NoMatch("its weight is not constant")
    if int_of(conv, "group", 1) != 1:
        raise NoMatch("it is a grouped convolution")
    if any(ints_of(conv, "pads", ())) or any(s != 1 for s in ints_of(conv, "strides", ())):
        raise NoMatch("it has padding or a stride")
    source = x.producer()
    rows = source.inputs[0] if source is not None and _is_swap(source) else None
    readers = conv.outputs[0].consumers()
    swapped = tuple(reader.outputs[0] for reader in readers if _is_swap(reader))
    reads_columns = len(swapped) < len(readers) or conv.outputs[0].is_graph_output()
    n_out, n_in = dims(weight)[:2]
    before = n_in * (rows is not None) + n_out * bool(swapped)
    after = n_in * (rows is None) + n_out * reads_columns
    if after >= before:
        raise NoMatch(f"as MatMul it would transpose {after} channels instead of {before}")
    return Pointwise(conv, rows, swapped, reads_columns)


def _is_swap(node: ir.Node) -> bool:
    return node.op_type == "Transpose" and ints_of(node, "perm", ()) == SWAP


def _rewrite(graph: ir.Graph, match: Pointwise) -> None:
    conv = match.conv
    name = conv.name or "conv"
    x, output = conv.inputs[0], conv.outputs[0]
    weight_value, tensor = conv.inputs[1], tensor_of(conv.inputs[1])
    assert x is not None and weight_value is not None and tensor is not None
    n_out, n_in = dims(tensor)[:2]
    lead = [None, None] if x.shape is None else [x.shape[0], x.shape[2]]

    def transposed() -> Array:
        return np.ascontiguousarray(read(tensor)[:, :, 0].T)

    weight = add_weight(
        graph, f"{weight_value.name}.transposed", tensor.dtype, (n_in, n_out), transposed
    )
    rows = match.rows
    if rows is None:
        (rows,) = insert(
            conv, "Transpose", [x], {"perm": SWAP}, name=f"{name}/rows", shapes=[[*lead, n_in]]
        )
    shape = [*lead, n_out]
    (result,) = insert(conv, "MatMul", [rows, weight], name=f"{name}/MatMul", shapes=[shape])
    if len(conv.inputs) > 2 and conv.inputs[2] is not None:
        bias = conv.inputs[2]
        (result,) = insert(conv, "Add", [result, bias], name=f"{name}/bias", shapes=[shape])
    if match.reads_columns:
        (columns,) = insert(conv, "Transpose", [result], {"perm": SWAP}, name=f"{name}/columns")
        for reader, index in tuple(output.uses()):
            if not _is_swap(reader):
                reader.replace_input_with(index, columns)
        if output.is_graph_output():
            substitute(output, columns)
    for value in match.swapped:
        substitute(value, result)


RULE = Rule("pointwise_conv", _candidates, _match, _rewrite)
