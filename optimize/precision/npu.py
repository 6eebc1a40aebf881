"""Static QDQ for Qualcomm's NPU: INT8 weights, and 8-bit or 16-bit activations (A8W8, A16W8).

The NPU takes a node as an integer one when its inputs and its output are all quantized; what is
between two of them runs in FP16, as everything else does. So each product with a constant weight
gets pairs on both sides, one scale per tensor, and the rest is left to FP16. Weights are symmetric
and per channel, biases INT32. On x86 the CPU provider computes 16-bit activations in float between
the pairs: it tells the rounding, never the speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import onnx_ir as ir

from calibration.ranges.observers import Range
from optimize.precision.contract import (
    Conversion,
    Evidence,
    Needs,
    Plan,
    Precision,
    RangeLike,
    Traits,
)
from optimize.precision.int8.conv import constant_bias, extremes
from optimize.precision.int8.conv_weight import bias_units, wide_enough
from optimize.precision.shared.plan import (
    conversion,
    family_exclusions,
    float_node,
    heads,
    merged,
    plan,
    with_finite_weights,
)
from optimize.precision.shared.quantize import per_channel_scales, quantize_per_channel
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    add_weight,
    dims,
    graph_of,
    insert,
    read,
    weight_of,
)
from vampnet_models.records.variant import FloatNode

ActivationBits = Literal[8, 16]
_DTYPES = {8: (ir.DataType.UINT8, np.uint8), 16: (ir.DataType.UINT16, np.uint16)}
_OUTPUT_CHANNELS = {"MatMul": 1, "Conv": 0}
"""The axis of the weight that has a scale per channel."""


@dataclass(frozen=True)
class _Job:
    node: ir.Node
    input: tuple[np.float32, int]
    output: tuple[np.float32, int]
    bias: Array | None
    limits: Mapping[str, Range]


@dataclass(frozen=True)
class NpuInt8(Precision[Plan]):
    """8-bit weights and activations of 8 or 16 `bits`, in products; the rest is left to FP16."""

    bits: ActivationBits

    @property
    def needs(self) -> Needs:
        """One range over each input and output."""
        return Needs.RANGES

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """The nodes that become integer ones, and the heavy ones that stay in FP16, with reasons.

        In 8 bits the head stays too.
        """
        kept = {} if self.bits == 16 else heads(graph)
        exclusions = merged(family_exclusions(graph, traits), kept)
        found = plan(graph, tuple(_OUTPUT_CHANNELS), exclusions)
        values = [v for node in found.chosen for v in (node.inputs[0], node.outputs[0])]
        ranges = {v.name: None for v in values if v is not None and v.name}
        return replace(found, ranges=ranges, traits=traits)

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """Insert the pairs into a model in place; weights are read when they are written.

        A node whose ranges are missing or not finite stays in float and says so.
        """
        graph, bits = model.graph, self.bits
        found = with_finite_weights(graph, plan)
        left: list[FloatNode] = list(found.left)
        jobs: list[_Job] = []
        for node in found.chosen:
            try:
                jobs.append(_job(node, evidence.ranges, bits))
            except NoMatch as reason:
                left.append(float_node(node, str(reason)))
        made: dict[ir.Value, ir.Value] = {}
        for job in jobs:
            _quantize_input(job, bits, made)
            scales = _quantize_weight(graph, job)
            if job.bias is not None:
                _quantize_bias(graph, job, job.bias, scales)
            _quantize_output(job, bits)
        limits = {name: each for job in jobs for name, each in job.limits.items()}
        return replace(conversion(graph, len(jobs), f"a{bits}w8", left), limits=limits)


def step_of(low: float, high: float, bits: ActivationBits) -> tuple[np.float32, int]:
    """Scale and zero point of the unsigned quantization that covers [low, high] and holds 0."""
    low, high, top = min(low, 0.0), max(high, 0.0), 2**bits - 1
    scale = np.float32(max((high - low) / top, 2.0**-60))
    return scale, int(np.clip(round(-low / float(scale)), 0, top))


def _job(node: ir.Node, ranges: Mapping[str, RangeLike], bits: ActivationBits) -> _Job:
    """Everything that can fail, before the graph is touched."""
    steps, limits = [], {}
    for value in (node.inputs[0], node.outputs[0]):
        assert value is not None
        low, high = extremes(value.name or "", ranges)
        least, most = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
        steps.append(step_of(least, most, bits))
        limits[value.name or ""] = Range(least, most)
    return _Job(node, steps[0], steps[1], constant_bias(node), limits)


def _quantize_input(job: _Job, bits: ActivationBits, made: dict[ir.Value, ir.Value]) -> None:
    x = job.node.inputs[0]
    assert x is not None
    if x not in made:
        made[x] = _pair(job.node, x, job.input, bits, f"{x.name}/in")
    job.node.replace_input_with(0, made[x])


def _quantize_output(job: _Job, bits: ActivationBits) -> None:
    """Let all readers of the output, the graph's own included, read its rounded values."""
    y, graph = job.node.outputs[0], graph_of(job.node)
    is_output, name, uses = y.is_graph_output(), y.name, list(y.uses())
    rounded = _pair(job.node, y, job.output, bits, f"{name}/out")
    load = rounded.producer()
    store = load.inputs[0].producer() if load is not None and load.inputs[0] is not None else None
    assert load is not None and store is not None
    graph.remove([store, load])
    graph.insert_after(job.node, [store, load])
    for use in uses:
        use.node.replace_input_with(use.idx, rounded)
    if is_output:
        graph.outputs[list(graph.outputs).index(y)] = rounded
        y.name, rounded.name = f"{name}.float", name


def _pair(
    before: ir.Node, value: ir.Value, step: tuple[np.float32, int], bits: ActivationBits, name: str
) -> ir.Value:
    """QuantizeLinear and DequantizeLinear of one scale; returns the latter's output."""
    graph, (dtype, stored_as) = graph_of(before), _DTYPES[bits]
    scale = add_constant(graph, f"{name}.scale", np.array(step[0], np.float32))
    zero = add_constant(graph, f"{name}.zero", np.array(step[1], stored_as))
    (stored,) = insert(
        before,
        "QuantizeLinear",
        [value, scale, zero],
        name=f"{name}/quantize",
        dtypes=[dtype],
        shapes=[value.shape],
    )
    inputs = [stored, scale, zero]
    name = f"{name}/dequantize"
    return insert(before, "DequantizeLinear", inputs, name=name, shapes=[value.shape])[0]


def _quantize_weight(graph: ir.Graph, job: _Job) -> Array:
    """Put int8 values behind DequantizeLinear; returns the scales, float32 `[channels]`."""
    node, step = job.node, job.input[0]
    tensor, value, axis = weight_of(node), node.inputs[1], _OUTPUT_CHANNELS[node.op_type]
    assert tensor is not None and value is not None
    # The bias is in units of the products, which are those of the weights times the input's step.
    own, bias = per_channel_scales(read(tensor), axis), job.bias
    in_steps = None if bias is None else bias.astype(np.float64) / step
    scales = wide_enough(own, np.array(job.output[0] / np.float64(step)), in_steps)
    shape = dims(tensor)

    integers = add_weight(
        graph, f"{value.name}.int8", ir.DataType.INT8, shape, partial(_int8, tensor, scales, axis)
    )
    zeros = add_constant(graph, f"{value.name}.zeros", np.zeros(len(scales), np.int8))
    inputs = [integers, add_constant(graph, f"{value.name}.scales", scales), zeros]
    name = f"{node.name}/weight"
    (new,) = insert(node, "DequantizeLinear", inputs, {"axis": axis}, name=name, shapes=[shape])
    node.replace_input_with(1, new)
    return scales


def _int8(tensor: ir.TensorProtocol, scales: Array, axis: int) -> Array:
    return quantize_per_channel(read(tensor), scales, axis)


def _quantize_bias(graph: ir.Graph, job: _Job, bias: Array, scales: Array) -> None:
    """An int32 bias in units of input scale times weight scale."""
    node = job.node
    units = (scales * job.input[0]).astype(np.float32)
    inputs = [
        add_constant(graph, f"{node.name}/bias.int32", bias_units(bias, units)),
        add_constant(graph, f"{node.name}/bias.scales", units),
        add_constant(graph, f"{node.name}/bias.zeros", np.zeros(len(units), np.int32)),
    ]
    name = f"{node.name}/bias"
    (new,) = insert(node, "DequantizeLinear", inputs, {"axis": 0}, name=name, shapes=[bias.shape])
    node.replace_input_with(2, new)
