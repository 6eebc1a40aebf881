"""Weight and bias of a static INT8 convolution, in units of the steps of its input and output.

Rounding a weight shifts the mean of the output by the mean input times what rounding changed. That
mean error goes into the bias (Nagel et al. 2019, "Data-Free Quantization Through Weight
Equalization and Bias Correction", section 4.2, with mean inputs as calibration saw them).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.precision.shared.quantize import per_channel_scales, quantize_per_channel
from optimize.surgery.graph import (
    Array,
    add_constant,
    add_weight,
    dims,
    graph_of,
    insert,
    int_of,
    read,
    weight_of,
)

BIAS_UNITS = 2**30
"""The largest bias in units of the products; they themselves fill the other half of an int32."""

_LEAST_UNIT = 2.0**-45
"""A unit of the products over a step of the output: ten million of them do not move it by one."""


def quantize(
    node: ir.Node, columns: Array, rows: Array, bias: Array | None, mean: Array | None
) -> None:
    """Put int8 weights and an int32 bias behind DequantizeLinear; weights are read when written.

    `columns` `[in]` and `rows` `[out]` are the steps of the input and the output, `bias` `[out]` is
    in real numbers. With `mean` `[in]`, the input's, the bias is corrected; a Conv without one has
    nothing to correct.
    """
    tensor, value, graph = weight_of(node), node.inputs[1], graph_of(node)
    assert tensor is not None and value is not None
    shape, group = dims(tensor), int_of(node, "group", 1)

    def scaled() -> Array:
        weight = read(tensor)
        factors = _of_groups(columns, group, shape[0])
        wide = factors.reshape(*factors.shape, *(1 for _ in shape[2:]))
        return (weight * wide).astype(np.float32)

    in_steps = scaled()
    own = wide_enough(per_channel_scales(in_steps, 0), rows, bias)
    scales: Array = (own / rows).astype(np.float32)
    if bias is not None and mean is not None:
        bias = bias - mean_error(in_steps, own, _of_groups(mean / columns, group, shape[0]))
    del in_steps
    integers = add_weight(
        graph,
        f"{value.name}.int8",
        ir.DataType.INT8,
        shape,
        lambda: quantize_per_channel(scaled(), own, 0),
    )
    inputs = [integers, add_constant(graph, f"{value.name}.scales", scales)]
    name = f"{node.name}/weight"
    (new,) = insert(node, "DequantizeLinear", inputs, {"axis": 0}, name=name, shapes=[shape])
    node.replace_input_with(1, new)
    if bias is not None:
        _quantize_bias(graph, node, bias_units(bias, own), scales)


def _of_groups(values: Array, group: int, n_out: int) -> Array:
    """Values of the input channels as they meet a weight `[out, in / group, ...]`.

    `[1, in]` without groups, which broadcasts.
    """
    by_group = values.reshape(group, -1)
    return by_group if group == 1 else np.repeat(by_group, n_out // group, axis=0)


def wide_enough(scales: Array, rows: Array, bias: Array | None) -> Array:
    """Scales of the weights `[out]`, wider where a bias in their units would not fit an int32.

    So they are where a channel's weights are zero, or nothing beside its bias: what is then rounded
    is 30 bits below the bias, or below a step of the output (`rows`, `[out]`).
    """
    least = np.asarray(rows, np.float64) * _LEAST_UNIT
    if bias is not None:
        least = np.maximum(least, np.abs(bias.astype(np.float64)) / BIAS_UNITS)
    return np.maximum(scales, least).astype(np.float32)


def bias_units(bias: Array, units: Array) -> Array:
    """An int32 bias `[out]` in these units, `wide_enough` for it."""
    integers: Array = np.rint(bias.astype(np.float64) / units).astype(np.int32)
    return integers


def mean_error(weight: Array, scales: Array, mean: Array) -> Array:
    """What rounding `weight` `[out, in, taps...]` adds to each output on average, `[out]`.

    `mean` `[1 or out, in]` is the mean input. Samples beyond the edges, which are zeros, are not
    counted.
    """
    integers = quantize_per_channel(weight, scales, 0).astype(np.float32)
    changed = integers * scales.reshape(-1, *(1 for _ in weight.shape[1:])) - weight
    by_column = changed.reshape(*changed.shape[:2], -1).sum(axis=2, dtype=np.float64)
    found: Array = (by_column * mean).sum(axis=1)
    return found


def _quantize_bias(graph: ir.Graph, node: ir.Node, integers: Array, scales: Array) -> None:
    """An int32 bias in units of the weight's scales, those of the input being 1."""
    inputs = [
        add_constant(graph, f"{node.name}/bias.int32", integers),
        add_constant(graph, f"{node.name}/bias.scales", scales),
    ]
    name = f"{node.name}/bias"
    (new,) = insert(
        node, "DequantizeLinear", inputs, {"axis": 0}, name=name, shapes=[integers.shape]
    )
    node.replace_input_with(2, new)
