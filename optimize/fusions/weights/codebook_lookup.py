"""`sum_n (W_n table_n[codes_n] + b_n)` -> `[W_1 W_2 ..] [table_1[codes_1]; ..] + sum_n b_n`.

As a residual quantizer turns codes into a latent (Zeghidour et al. 2021, "SoundStream"): one
pointwise Conv of the rows side by side, so that the wide latent is written once instead of once per
codebook and sum. A table of projected rows would be 128 times the size.
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
    add_weight,
    dims,
    insert,
    int_of,
    ints_of,
    read,
    scalar,
    substitute,
    tensor_of,
)

_SWAP = (0, 2, 1)


@dataclass(frozen=True)
class _Projection:
    """Rows `[batch, length, size]` and the pointwise Conv that projects them."""

    rows: ir.Value
    weight: ir.TensorProtocol
    bias: ir.TensorProtocol | None


@dataclass(frozen=True)
class _Lookups:
    """Projections of lookups, and the value of their sum `[batch, out, length]`."""

    terms: tuple[_Projection, ...]
    output: ir.Value
    name: str


def _candidates(graph: ir.Graph) -> Iterator[ir.Node]:
    """Convs of looked-up rows."""
    for node in graph:
        if node.op_type == "Conv" and _lookup(node) is not None:
            yield node


def _lookup(conv: ir.Node) -> ir.Node | None:
    """The Gather from a constant table whose rows a Conv reads as columns."""
    swap = conv.inputs[0].producer() if conv.inputs[0] is not None else None
    if swap is None or swap.op_type != "Transpose" or ints_of(swap, "perm", ()) != _SWAP:
        return None
    gather = swap.inputs[0].producer() if swap.inputs[0] is not None else None
    if gather is None or gather.op_type != "Gather" or int_of(gather, "axis", 0) != 0:
        return None
    table = tensor_of(gather.inputs[0])
    return gather if table is not None and len(table.shape) == 2 else None


def _match(conv: ir.Node) -> _Lookups:
    # Up to the last Add: every Conv of the sum is a candidate, and any of them finds it whole.
    root = conv.outputs[0]
    while not root.is_graph_output():
        readers = root.consumers()
        if len(readers) != 1 or readers[0].op_type != "Add":
            break
        root = readers[0].outputs[0]
    terms: list[_Projection] = []
    pending = [root]
    while pending:
        value = pending.pop()
        node = value.producer()
        # A sum that an exporter wrote as a loop begins with 0.
        if scalar(value) == 0.0:
            continue
        if value is not root and (len(value.consumers()) != 1 or value.is_graph_output()):
            raise NoMatch(f"{value.name} is read elsewhere without the rest of the sum")
        if node is not None and node.op_type == "Add":
            pending.extend(v for v in reversed(node.inputs) if v is not None)
        elif node is not None and node.op_type == "Conv":
            terms.append(_projection(node))
        else:
            raise NoMatch(f"{value.name} in the sum is no projected lookup")
    if len(terms) < 2:
        raise NoMatch(f"{root.name} is no sum of lookups")
    if len({dims(term.weight)[0] for term in terms}) != 1:
        raise NoMatch(f"the projections in {root.name} have different numbers of channels")
    return _Lookups(tuple(terms), root, conv.name or "lookup")


def _projection(conv: ir.Node) -> _Projection:
    gather = _lookup(conv)
    weight = tensor_of(conv.inputs[1])
    has_bias = len(conv.inputs) > 2 and conv.inputs[2] is not None
    bias = tensor_of(conv.inputs[2]) if has_bias else None
    if gather is None:
        raise NoMatch(f"{conv.name} does not project looked-up rows")
    if weight is None or (has_bias and bias is None):
        raise NoMatch(f"the weight or bias of {conv.name} is not constant")
    plain = (ints_of(conv, "strides", (1,)), ints_of(conv, "pads", (0, 0)))
    if dims(weight)[2:] != (1,) or int_of(conv, "group", 1) != 1 or plain != ((1,), (0, 0)):
        raise NoMatch(f"{conv.name} is no pointwise convolution")
    return _Projection(gather.outputs[0], weight, bias)


def _rewrite(graph: ir.Graph, match: _Lookups) -> None:
    node = match.output.producer()
    assert node is not None
    name, shape = f"{match.name}/lookups", match.output.shape
    weights = [term.weight for term in match.terms]
    biases = [term.bias for term in match.terms if term.bias is not None]
    n_out, n_in = dims(weights[0])[0], sum(dims(each)[1] for each in weights)

    def side_by_side() -> Array:
        return np.concatenate([read(each) for each in weights], axis=1)

    def summed() -> Array:
        # In double, so that it is rounded once and not per codebook.
        total: Array = np.stack([read(each) for each in biases]).sum(axis=0, dtype=np.float64)
        return total.astype(np.float32)

    dtype = weights[0].dtype
    inputs = [add_weight(graph, f"{name}/weight", dtype, (n_out, n_in, 1), side_by_side)]
    if biases:
        inputs.append(add_weight(graph, f"{name}/bias", dtype, (n_out,), summed))
    lead = match.terms[0].rows.shape
    batch, length = (None, None) if lead is None else (lead[0], lead[1])
    (rows,) = insert(
        node,
        "Concat",
        [term.rows for term in match.terms],
        {"axis": -1},
        name=f"{name}/rows",
        shapes=[[batch, length, n_in]],
    )
    (columns,) = insert(
        node,
        "Transpose",
        [rows],
        {"perm": _SWAP},
        name=f"{name}/columns",
        shapes=[[batch, n_in, length]],
    )
    (new,) = insert(
        node, "Conv", [columns, *inputs], {"kernel_shape": [1]}, name=f"{name}/conv", shapes=[shape]
    )
    substitute(match.output, new)


RULE = Rule("codebook_lookup", _candidates, _match, _rewrite)
