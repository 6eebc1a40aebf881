"""`Transpose(Conv(Transpose(x), W[out, in, 1]))` -> `MatMul(x, W')`, x `[batch, length, channels]`.

Exporters write the embedding and the classifier of VampNet so; as MatMul they use the runtime's
packed and integer kernels. A Conv is rewritten when that leaves fewer channels to transpose than
before. The original's head, whose channels are read as `[classes, codebooks]` and transposed as
such ("b (p c) t -> b p (t c)"), keeps that one Transpose, from rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    derived_weight,
    dims,
    insert,
    int_of,
    ints_of,
    read_transposed,
    scalar,
    substitute,
    tensor_of,
)

_SWAP = (0, 2, 1)
_INT64 = (ir.DataType.INT64,)


@dataclass(frozen=True)
class _Pointwise:
    """A matched Conv `[out, in, 1]` and what surrounds it."""

    conv: ir.Node
    rows: ir.Value | None
    """The input as `[batch, length, in]` where a Transpose made the Conv's input from it."""
    swapped: tuple[ir.Value, ...]
    """Outputs of the Transposes that turn the Conv's output into rows."""
    regrouped: tuple[_Regrouped, ...]
    """Transposes that turn the Conv's output, channels split in two, into `[.., length, inner]`."""
    shapes: tuple[ir.Value, ...]
    """Outputs of Shapes of the Conv's output."""
    reads_columns: bool
    """Whether anything else reads the Conv's output."""


@dataclass(frozen=True)
class _Regrouped:
    """`Transpose(Reshape(y, [batch, outer, inner, length]), [0, 1, 3, 2])` of a Conv's output."""

    reshape: ir.Node
    output: ir.Value
    outer: int
    inner: int


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


def _match(conv: ir.Node) -> _Pointwise:
    weight = tensor_of(conv.inputs[1])
    x = conv.inputs[0]
    assert weight is not None and x is not None
    if int_of(conv, "group", 1) != 1:
        raise NoMatch("it is a grouped convolution")
    if any(ints_of(conv, "pads", ())) or any(s != 1 for s in ints_of(conv, "strides", ())):
        raise NoMatch("it has padding or a stride")
    source = x.producer()
    rows = source.inputs[0] if source is not None and _is_swap(source) else None
    readers = conv.outputs[0].consumers()
    swapped = tuple(reader.outputs[0] for reader in readers if _is_swap(reader))
    regrouped = tuple(each for reader in readers if (each := _regrouped(reader)) is not None)
    shapes = tuple(reader.outputs[0] for reader in readers if _is_shape(reader))
    known = len(swapped) + len(regrouped) + len(shapes)
    reads_columns = known < len(readers) or conv.outputs[0].is_graph_output()
    n_out, n_in = dims(weight)[:2]
    before = n_in * (rows is not None) + n_out * bool(swapped)
    after = n_in * (rows is None) + n_out * reads_columns
    if after >= before:
        raise NoMatch(f"as MatMul it would transpose {after} channels instead of {before}")
    return _Pointwise(conv, rows, swapped, regrouped, shapes, reads_columns)


def _is_swap(node: ir.Node) -> bool:
    return node.op_type == "Transpose" and ints_of(node, "perm", ()) == _SWAP


def _is_shape(node: ir.Node) -> bool:
    return node.op_type == "Shape" and not node.attributes


def _is_rewritten(reader: ir.Node) -> bool:
    return _is_swap(reader) or _is_shape(reader) or _regrouped(reader) is not None


def _regrouped(reshape: ir.Node) -> _Regrouped | None:
    if reshape.op_type != "Reshape" or len(reshape.outputs[0].consumers()) != 1:
        return None
    (transpose,) = reshape.outputs[0].consumers()
    if transpose.op_type != "Transpose" or ints_of(transpose, "perm", ()) != (0, 1, 3, 2):
        return None
    groups = _groups(reshape)
    if groups is None or reshape.outputs[0].is_graph_output():
        return None
    return _Regrouped(reshape, transpose.outputs[0], *groups)


def _groups(reshape: ir.Node) -> tuple[int, int] | None:
    """The constant axes 1 and 2 of a Reshape to four axes, inferred or from its target's parts."""
    shape = reshape.outputs[0].shape
    if shape is not None and len(shape) == 4:
        outer, inner = shape[1], shape[2]
        if isinstance(outer, int) and isinstance(inner, int):
            return outer, inner
    parts = reshape.inputs[1].producer() if reshape.inputs[1] is not None else None
    if parts is None or parts.op_type != "Concat" or len(parts.inputs) != 4:
        return None
    found = [scalar(parts.inputs[axis]) for axis in (1, 2)]
    if found[0] is None or found[1] is None or min(found[0], found[1]) < 1:
        return None
    return int(found[0]), int(found[1])


def _rewrite(graph: ir.Graph, match: _Pointwise) -> None:
    conv = match.conv
    name = conv.name or "conv"
    x, output = conv.inputs[0], conv.outputs[0]
    weight_value, tensor = conv.inputs[1], tensor_of(conv.inputs[1])
    assert x is not None and weight_value is not None and tensor is not None
    n_out, n_in = dims(tensor)[:2]
    lead = [None, None] if x.shape is None else [x.shape[0], x.shape[2]]

    def transposed() -> Array:
        return read_transposed(tensor)

    shape = (n_in, n_out)
    weight = derived_weight(weight_value, "pointwise", tensor.dtype, shape, transposed)
    rows = match.rows
    if rows is None:
        (rows,) = insert(
            conv, "Transpose", [x], {"perm": _SWAP}, name=f"{name}/rows", shapes=[[*lead, n_in]]
        )
    rows_out = [*lead, n_out]
    (result,) = insert(conv, "MatMul", [rows, weight], name=f"{name}/MatMul", shapes=[rows_out])
    if len(conv.inputs) > 2 and conv.inputs[2] is not None:
        bias = conv.inputs[2]
        (result,) = insert(conv, "Add", [result, bias], name=f"{name}/bias", shapes=[rows_out])
    if match.reads_columns:
        (columns,) = insert(conv, "Transpose", [result], {"perm": _SWAP}, name=f"{name}/columns")
        for reader, index in tuple(output.uses()):
            if not _is_rewritten(reader):
                reader.replace_input_with(index, columns)
        if output.is_graph_output():
            substitute(output, columns)
    for value in match.swapped:
        substitute(value, result)
    for value in match.shapes:
        order = add_constant(graph, f"{name}/columns_of_rows", np.array(_SWAP, np.int64))
        (found,) = insert(
            conv, "Shape", [result], name=f"{name}/rows_shape", dtypes=_INT64, shapes=[[3]]
        )
        (new,) = insert(
            conv, "Gather", [found, order], name=f"{name}/shape", dtypes=_INT64, shapes=[[3]]
        )
        substitute(value, new)
    for each in match.regrouped:
        target = np.array([0, 0, each.outer, each.inner], np.int64)
        to = add_constant(graph, f"{name}/regrouped_shape", target)
        four = [*lead, each.outer, each.inner]
        (split,) = insert(conv, "Reshape", [result, to], name=f"{name}/regrouped", shapes=[four])
        perm, shapes = (0, 2, 1, 3), [[lead[0], each.outer, lead[1], each.inner]]
        (new,) = insert(
            conv, "Transpose", [split], {"perm": perm}, name=f"{name}/by_class", shapes=shapes
        )
        substitute(each.output, new)


RULE = Rule("pointwise_conv", _candidates, _match, _rewrite)
