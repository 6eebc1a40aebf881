"""Static INT8: QDQ with ranges from calibration, where the runtime has a kernel for it.

U8 activations per tensor (asymmetric), S8 weights per channel (symmetric), INT32 biases. Conv has
its output quantized too and becomes QLinearConv; MatMul keeps a float output and becomes
MatMulIntegerToFloat: as fast, and without the error of a quantized output. The head, whose scores
decide the tokens, is quantized block by block instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import onnx_ir as ir

from optimize.graph import (
    Array,
    NoMatch,
    add_constant,
    add_weight,
    constant,
    dims,
    drop_unused,
    graph_of,
    insert,
    read,
    weight_of,
)
from optimize.precision.plan import (
    Conversion,
    FloatNode,
    MixedNode,
    Plan,
    code_path,
    conversion,
    float_node,
    heads,
    merged,
    narrow_projections,
    plan,
    single_channel_ends,
)
from optimize.precision.quantize import per_channel_scales, quantize_per_channel
from optimize.precision.weight_only import Settings, quantize_matmul

INT32_LIMIT = 2**31 - 1

HEAD_PRECISION = "int8-blocks"
HEAD_SETTINGS = Settings(bits=8, block=32)
"""Heads get 8-bit weights and activations in blocks of 32: nearly the tokens of a float head."""


class RangeLike(Protocol):
    """The smallest and largest value that calibration saw."""

    @property
    def low(self) -> float:
        """Smallest."""
        ...

    @property
    def high(self) -> float:
        """Largest."""
        ...


@dataclass(frozen=True)
class Activation:
    """A uint8 quantization: `real = scale * (stored - zero_point)`."""

    scale: np.float32
    zero_point: np.uint8


@dataclass(frozen=True)
class Job:
    """A node to convert: its input, the quantization of input and (Conv) output, its bias."""

    node: ir.Node
    x: ir.Value
    input: Activation
    output: Activation | None
    bias: Array | None


def targets(graph: ir.Graph) -> Plan:
    """The nodes that static INT8 converts, and the heavy ones that it leaves, with reasons."""
    exclusions = merged(code_path(graph), single_channel_ends(graph), narrow_projections(graph))
    return plan(graph, ("MatMul", "Conv"), exclusions)


def tensors_to_observe(graph: ir.Graph) -> tuple[str, ...]:
    """The values whose ranges `convert` needs, by name."""
    scoring = heads(graph)
    names: dict[str, None] = {}
    for node in targets(graph).chosen:
        if node.op_type == "MatMul" and node in scoring:
            continue
        for value in _observed(node):
            names[value.name or ""] = None
    return tuple(names)


def convert(model: ir.Model, ranges: Mapping[str, RangeLike]) -> Conversion:
    """Insert QDQ into a model in place; weights are read when they are written.

    A node whose ranges are missing or not finite stays in float and says so.
    """
    graph = model.graph
    found, scoring = targets(graph), heads(graph)
    left: list[FloatNode] = list(found.left)
    jobs: list[Job] = []
    mixed: list[MixedNode] = []
    for node in found.chosen:
        if node.op_type == "MatMul" and node in scoring:
            mixed.append(MixedNode(node.name or "", node.op_type, HEAD_PRECISION, scoring[node]))
            quantize_matmul(graph, node, HEAD_SETTINGS)
            continue
        try:
            jobs.append(_job(node, ranges))
        except NoMatch as reason:
            left.append(float_node(node, str(reason)))
    pairs: dict[ir.Value, ir.Value] = {}
    for job in jobs:
        _quantize_node(graph, job, pairs)
    drop_unused(model)
    return conversion(graph, len(jobs), "int8", left, mixed)


def activation_of(low: float, high: float) -> Activation:
    """The uint8 quantization that covers [low, high] and represents 0 exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255, 2.0**-60))
    zero_point = np.uint8(np.clip(round(-low / float(scale)), 0, 255))
    return Activation(scale, zero_point)


def _observed(node: ir.Node) -> list[ir.Value]:
    values = [node.inputs[0]] + ([node.outputs[0]] if node.op_type == "Conv" else [])
    return [value for value in values if value is not None]


def _activation(value: ir.Value, ranges: Mapping[str, RangeLike]) -> Activation:
    found = ranges.get(value.name or "")
    if found is None:
        raise NoMatch(f"calibration gave no range for {value.name}")
    if not (np.isfinite(found.low) and np.isfinite(found.high)) or found.low > found.high:
        raise NoMatch(f"the range of {value.name} is [{found.low}, {found.high}]")
    return activation_of(found.low, found.high)


def _job(node: ir.Node, ranges: Mapping[str, RangeLike]) -> Job:
    """Everything that can fail, before the graph is touched."""
    x = node.inputs[0]
    assert x is not None
    bias = None
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = constant(node.inputs[2])
        if bias is None:
            raise NoMatch("its bias is not constant")
    output = _activation(node.outputs[0], ranges) if node.op_type == "Conv" else None
    return Job(node, x, _activation(x, ranges), output, bias)


def _quantize_node(graph: ir.Graph, job: Job, pairs: dict[ir.Value, ir.Value]) -> None:
    node = job.node
    # The x of a Conv that follows a Conv directly has been replaced by its pair already.
    if job.x not in pairs:
        pairs[job.x] = _insert_pair(node, job.x, job.input)
    node.replace_input_with(0, pairs[job.x])
    scales = _quantize_weight(graph, node)
    if job.bias is not None:
        _quantize_bias(graph, node, job.bias, scales * job.input.scale)
    if job.output is not None:
        pairs[node.outputs[0]] = _quantize_output(graph, node, job.output)


def _insert_pair(before: ir.Node, value: ir.Value, activation: Activation) -> ir.Value:
    """QuantizeLinear and DequantizeLinear; returns the latter's output."""
    graph, name = graph_of(before), value.name
    scale = add_constant(graph, f"{name}.scale", np.array(activation.scale, np.float32))
    zero = add_constant(graph, f"{name}.zero", np.array(activation.zero_point, np.uint8))
    (stored,) = insert(
        before,
        "QuantizeLinear",
        [value, scale, zero],
        name=f"{name}/quantize",
        dtypes=[ir.DataType.UINT8],
        shapes=[value.shape],
    )
    inputs = [stored, scale, zero]
    name = f"{name}/dequantize"
    return insert(before, "DequantizeLinear", inputs, name=name, shapes=[value.shape])[0]


def _quantize_output(graph: ir.Graph, node: ir.Node, activation: Activation) -> ir.Value:
    """Let every reader of a Conv's output read it through a QDQ pair."""
    output = node.outputs[0]
    readers, is_output, name = tuple(output.uses()), output.is_graph_output(), output.name
    pair = _insert_pair(node, output, activation)
    dequantize = pair.producer()
    assert dequantize is not None and dequantize.inputs[0] is not None
    quantize = dequantize.inputs[0].producer()
    assert quantize is not None
    graph.remove([quantize, dequantize])
    graph.insert_after(node, [quantize, dequantize])
    for reader, index in readers:
        reader.replace_input_with(index, pair)
    if is_output:
        graph.outputs[list(graph.outputs).index(output)] = pair
        output.name = f"{name}.float"
        pair.name = name
    return pair


def _quantize_weight(graph: ir.Graph, node: ir.Node) -> Array:
    """Put int8 values behind DequantizeLinear; returns their scales."""
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    axis = 0 if node.op_type == "Conv" else 1
    scales = per_channel_scales(read(tensor), axis)
    shape = dims(tensor)
    integers = add_weight(
        graph, f"{value.name}.int8", ir.DataType.INT8, shape, partial(_int8, tensor, scales, axis)
    )
    inputs = [integers, add_constant(graph, f"{value.name}.scales", scales)]
    name = f"{node.name}/weight"
    (new,) = insert(node, "DequantizeLinear", inputs, {"axis": axis}, name=name, shapes=[shape])
    node.replace_input_with(1, new)
    return scales


def _int8(tensor: ir.TensorProtocol, scales: Array, axis: int) -> Array:
    return quantize_per_channel(read(tensor), scales, axis)


def _quantize_bias(graph: ir.Graph, node: ir.Node, bias: Array, scales: Array) -> None:
    """An int32 bias in units of (input scale * weight scale)."""
    units = np.rint(bias.astype(np.float64) / scales)
    stored = np.clip(units, -INT32_LIMIT, INT32_LIMIT).astype(np.int32)
    inputs = [
        add_constant(graph, f"{node.name}/bias.int32", stored),
        add_constant(graph, f"{node.name}/bias.scales", scales.astype(np.float32)),
    ]
    (new,) = insert(
        node,
        "DequantizeLinear",
        inputs,
        {"axis": 0},
        name=f"{node.name}/bias",
        shapes=[bias.shape],
    )
    node.replace_input_with(2, new)
