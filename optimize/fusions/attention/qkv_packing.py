"""`x Wq, x Wk, x Wv` -> `split(x [Wq Wk Wv])`: one MatMul and a Split.

The projections to query, key and value share their input: it is quantized and packed once, and the
kernel has more columns to share among threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from optimize.fusions.attention.relative_attention import attentions
from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    add_weight,
    dims,
    insert,
    produced_by,
    read,
    substitute,
    weight_of,
)
from optimize.surgery.scopes import derived


@dataclass(frozen=True)
class _Projections:
    """Three products of the same value with constant matrices of the same height."""

    x: ir.Value
    nodes: tuple[ir.Node, ...]
    weights: tuple[ir.TensorProtocol, ...]
    name: str


def _match(attention: ir.Node) -> _Projections:
    nodes = tuple(produced_by(attention.inputs[i], "MatMul") for i in range(3))
    x = nodes[0].inputs[0]
    weights = []
    for node in nodes:
        weight = weight_of(node)
        if weight is None or len(weight.shape) != 2:
            raise NoMatch(f"{node.name} has no constant matrix")
        if node.inputs[0] is not x:
            raise NoMatch(f"{node.name} reads another value than {nodes[0].name}")
        if node.outputs[0].is_graph_output():
            raise NoMatch(f"{node.name} is a graph output")
        weights.append(weight)
    if x is None or len(set(nodes)) != 3:
        raise NoMatch("query, key and value are not three products")
    return _Projections(x, nodes, tuple(weights), attention.name or "attention")


def _rewrite(graph: ir.Graph, match: _Projections) -> None:
    height = dims(match.weights[0])[0]
    widths = [dims(weight)[1] for weight in match.weights]
    # Every other reader of the products comes after the first of them.
    first = next(node for node in graph if node in match.nodes)
    sources = [value for node in match.nodes if (value := node.inputs[1]) is not None]

    def pack() -> tuple[ir.Value]:
        shape, compute = (height, sum(widths)), partial(_concatenate, match.weights)
        name, dtype = f"{match.name}/qkv", match.weights[0].dtype
        return (add_weight(graph, name, dtype, shape, compute),)

    (packed,) = derived(sources[0], ("qkv", *sources[1:]), pack)
    lead = [None, None] if match.x.shape is None else list(match.x.shape)[:-1]
    (product,) = insert(
        first, "MatMul", [match.x, packed], name=f"{match.name}/qkv", shapes=[[*lead, sum(widths)]]
    )
    sizes = add_constant(graph, f"{match.name}/widths", np.array(widths, np.int64))
    parts = insert(
        first,
        "Split",
        [product, sizes],
        {"axis": -1},
        name=f"{match.name}/split",
        dtypes=[ir.DataType.FLOAT] * 3,
    )
    for node, part in zip(match.nodes, parts, strict=True):
        substitute(node.outputs[0], part)


def _concatenate(weights: tuple[ir.TensorProtocol, ...]) -> Array:
    return np.concatenate([read(weight) for weight in weights], axis=1)


RULE = Rule("qkv_packing", attentions, _match, _rewrite)
