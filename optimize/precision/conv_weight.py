"""Weight and bias of a static INT8 convolution, in units of the steps of its input and output.

Rounding a weight shifts the mean of the output by the mean input times what rounding changed. That
mean error goes into the bias (Nagel et al. 2019, "Data-Free Quantization Through Weight
Equalization and Bias Correction", section 4.2, with mean inputs as calibration saw them).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.graph import Array, add_constant, add_weight, dims, graph_of, insert, read, weight_of
from optimize.precision.quantize import per_channel_scales, quantize_per_channel

INT32_LIMIT = 2**31 - 1


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

    def scaled() -> Array:
        weight = read(tensor)
        n_in = weight.shape[1]
        # Grouped weights have fewer columns; their steps are all equal.
        factors = columns[:n_in].reshape(1, n_in, *(1 for _ in weight.shape[2:]))
        return (weight * factors).astype(np.float32)

    in_steps = scaled()
    own = per_channel_scales(in_steps, 0)
    scales: Array = (own / rows).astype(np.float32)
    if bias is not None and mean is not None:
        bias = bias - mean_error(in_steps, own, mean / columns)
    del in_steps
    shape = dims(tensor)
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
        _quantize_bias(graph, node, bias / rows, scales)


def mean_error(weight: Array, scales: Array, mean: Array) -> Array:
    """What rounding `weight` `[out, in, taps...]` adds to each output on average, `[out]`.

    `mean` `[in]` is the mean input. Samples beyond the edges, which are zeros, are not counted.
    """
    integers = quantize_per_channel(weight, scales, 0).astype(np.float32)
    changed = integers * scales.reshape(-1, *(1 for _ in weight.shape[1:])) - weight
    found: Array = changed.reshape(*changed.shape[:2], -1).sum(axis=2, dtype=np.float64) @ mean
    return found


def _quantize_bias(graph: ir.Graph, node: ir.Node, bias: Array, scales: Array) -> None:
    """An int32 bias in units of the weight's scales, those of the input being 1."""
    units = np.rint(bias.astype(np.float64) / scales)
    integers = np.clip(units, -INT32_LIMIT, INT32_LIMIT).astype(np.int32)
    inputs = [
        add_constant(graph, f"{node.name}/bias.int32", integers),
        add_constant(graph, f"{node.name}/bias.scales", scales),
    ]
    name = f"{node.name}/bias"
    (new,) = insert(node, "DequantizeLinear", inputs, {"axis": 0}, name=name, shapes=[bias.shape])
    node.replace_input_with(2, new)
