"""Float32 to float16, node by node, with every type known.

A float32 node becomes a float16 node unless its operator has no float16 form, it is on the keep
list, or a weight would overflow (fp16_keep.py); Casts stand where the two meet, one per value.
Weights are rounded when they are written. Types come from shape inference, so that a node after
an operator that ONNX does not know, or an initializer that both sides read, gets the right one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass

from optimize.graph import (
    Array,
    add_weight,
    dims,
    drop_unused,
    infer_shapes,
    read,
    tensor_of,
    weight_of,
)
from optimize.precision.fp16_keep import KEEP_OPS, reasons_to_keep
from optimize.precision.plan import HEAVY_OPS, WEIGHT_OPS, Conversion, float_node
from vampnet_models.errors import InputError

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


@dataclass
class _State:
    graph: ir.Graph
    casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = field(default_factory=dict)
    rounded: dict[ir.Value, ir.Value] = field(default_factory=dict)


def convert(
    model: ir.Model,
    *,
    keep_nodes: Collection[str] = (),
    keep_ops: Collection[str] = (),
    measured: Mapping[str, str] | None = None,
    keep_io: bool = True,
) -> Conversion:
    """Convert a model in place; graph inputs and outputs stay float32 unless `keep_io` is False.

    `keep_nodes` and `keep_ops` name nodes and operators that stay in float32, `measured` nodes
    that do so by measured ranges, with reasons. Raises InputError when the type of a value cannot
    be inferred, or when the graph does not have what is named.
    """
    infer_shapes(model)
    graph = model.graph
    _require_types(graph)
    reasons, warnings = reasons_to_keep(model, keep_nodes, keep_ops, measured)
    nodes = [node for node in graph if _has_floats(node)]
    outputs = [value for value in graph.outputs if value.dtype == FLOAT]
    counts = Counter(
        "float32" if node in reasons else "float16"
        for node in nodes
        if node.op_type in WEIGHT_OPS and weight_of(node) is not None
    )
    state = _State(graph)
    if not keep_io:
        for value in (*graph.inputs, *outputs):
            if value.dtype == FLOAT:
                value.dtype = HALF
    for node in nodes:
        _convert_node(node, FLOAT if node in reasons else HALF, state)
    for value in outputs:
        _convert_output(value, FLOAT if keep_io else HALF, state)
    TopologicalSortPass()(model)
    drop_unused(model)
    reported = (*HEAVY_OPS, *KEEP_OPS, *keep_ops)
    named = {*keep_nodes, *(measured or {})}
    left = [
        float_node(n, reasons[n])
        for n in nodes
        if n in reasons and (n.op_type in reported or n.name in named)
    ]
    return Conversion(dict(counts), tuple(left), (), tuple(warnings))


def _has_floats(node: ir.Node) -> bool:
    return any(v is not None and v.dtype in (FLOAT, HALF) for v in (*node.inputs, *node.outputs))


def _require_types(graph: ir.Graph) -> None:
    for node in graph:
        for value in node.outputs:
            if value.dtype is None and (value.uses() or value.is_graph_output()):
                raise InputError(
                    f"{value.name}: its type cannot be inferred ({node.op_type} {node.name}); "
                    "export the model with value_info"
                )


def _convert_node(node: ir.Node, dtype: ir.DataType, state: _State) -> None:
    """Let a node work in `dtype`: its float inputs, its float outputs, its type attribute."""
    for index, value in enumerate(node.inputs):
        # A Cast takes any type: it reads what is there.
        if value is not None and value.dtype in (FLOAT, HALF) and node.op_type != "Cast":
            node.replace_input_with(index, _as(value, dtype, state))
    for value in node.outputs:
        if value.dtype == FLOAT:
            value.dtype = dtype
    to = node.attributes.get("to")
    if to is not None and to.as_int() == FLOAT:
        node.attributes["to"] = ir.AttrInt64("to", dtype)
    if node.op_type in ("ConstantOfShape", "Constant") and "value" in node.attributes:
        tensor = node.attributes["value"].as_tensor()
        if tensor.dtype == FLOAT and dtype == HALF:
            rounded = ir.Tensor(tensor.numpy().astype(np.float16), name=tensor.name)
            node.attributes["value"] = ir.AttrTensor("value", rounded)


def _as(value: ir.Value, dtype: ir.DataType, state: _State) -> ir.Value:
    """`value` in this type: itself, a rounded copy of an initializer, or a Cast's output."""
    if value.dtype == dtype:
        return value
    tensor = tensor_of(value)
    if tensor is not None and dtype == HALF:
        if value not in state.rounded:
            state.rounded[value] = _rounded(value, tensor, state.graph)
        return state.rounded[value]
    key = (value, dtype)
    if key not in state.casts:
        state.casts[key] = _cast(value, dtype, state.graph)
    return state.casts[key]


def _rounded(value: ir.Value, tensor: ir.TensorProtocol, graph: ir.Graph) -> ir.Value:
    return add_weight(graph, f"{value.name}.half", HALF, dims(tensor), partial(_halved, tensor))


def _halved(tensor: ir.TensorProtocol) -> Array:
    return read(tensor).astype(np.float16)


def _cast(value: ir.Value, dtype: ir.DataType, graph: ir.Graph) -> ir.Value:
    suffix = "half" if dtype == HALF else "float"
    name = f"{value.name}/{suffix}"
    node = ir.Node("", "Cast", [value], [ir.AttrInt64("to", dtype)], name=name)
    result = node.outputs[0]
    result.name, result.type, result.shape = f"{name}.out", ir.TensorType(dtype), value.shape
    graph.append(node)
    return result


def _convert_output(value: ir.Value, dtype: ir.DataType, state: _State) -> None:
    """Give a graph output its type back under its own name."""
    converted = _as(value, dtype, state)
    if converted is value:
        return
    graph, name = state.graph, value.name
    graph.outputs[list(graph.outputs).index(value)] = converted
    value.name = f"{name}.{'half' if dtype == FLOAT else 'float'}"
    converted.name = name
