"""Dynamic INT8: activations are quantized at run time by their own range, weights per channel.

MatMul becomes DynamicQuantizeLinear, MatMulInteger, Cast, Mul: what ONNX Runtime fuses into
DynamicQuantizeMatMul, or MatMulIntegerToFloat where several products share an input. Conv becomes
ConvInteger; the CPU kernel wants unsigned weights (signed ones run five times slower).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from optimize.graph import (
    Array,
    add_constant,
    add_weight,
    dims,
    drop_unused,
    graph_of,
    insert,
    read,
    substitute,
    weight_of,
)
from optimize.precision.plan import (
    Conversion,
    Plan,
    code_path,
    conversion,
    embedding_projections,
    merged,
    narrow_projections,
    plan,
    single_channel_ends,
)
from optimize.precision.quantize import per_channel_scales, quantize_per_channel

UNSIGNED_ZERO = 128


def targets(graph: ir.Graph) -> Plan:
    """The nodes that dynamic INT8 converts, and the heavy ones that it leaves, with reasons."""
    exclusions = merged(
        code_path(graph),
        single_channel_ends(graph),
        narrow_projections(graph),
        embedding_projections(graph),
    )
    return plan(graph, ("MatMul", "Conv"), exclusions)


def convert(model: ir.Model, chosen: Plan | None = None) -> Conversion:
    """Quantize MatMuls and Convs of a model in place; weights are read when they are written.

    `chosen` are its `targets` or a part of them.
    """
    graph = model.graph
    chosen = chosen or targets(graph)
    quantized: dict[ir.Value, Sequence[ir.Value]] = {}
    for node in chosen.chosen:
        x = node.inputs[0]
        assert x is not None
        if x not in quantized:
            quantized[x] = _quantize_input(node, x)
        if node.op_type == "MatMul":
            _matmul(graph, node, quantized[x])
        else:
            _convolution(graph, node, quantized[x])
    drop_unused(model)
    return conversion(graph, len(chosen.chosen), "int8", chosen.left)


def _quantize_input(before: ir.Node, x: ir.Value) -> Sequence[ir.Value]:
    """x as uint8, its scale and its zero point."""
    types = (ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8)
    shapes = [x.shape, (), ()]
    name = f"{x.name}/quantize"
    return insert(before, "DynamicQuantizeLinear", [x], name=name, dtypes=types, shapes=shapes)


def _matmul(graph: ir.Graph, node: ir.Node, quantized: Sequence[ir.Value]) -> None:
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    scales = per_channel_scales(read(tensor), 1)

    def integers() -> Array:
        return quantize_per_channel(read(tensor), scales, 1)

    shape = dims(tensor)
    weight = add_weight(graph, f"{value.name}.int8", ir.DataType.INT8, shape, integers)
    x, scale, zero = quantized
    (product,) = insert(
        node,
        "MatMulInteger",
        [x, weight, zero],
        name=f"{node.name}/integer",
        dtypes=[ir.DataType.INT32],
        shapes=[node.outputs[0].shape],
    )
    _scale_back(node, product, scale, add_constant(graph, f"{value.name}.scales", scales), None)


def _convolution(graph: ir.Graph, node: ir.Node, quantized: Sequence[ir.Value]) -> None:
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    scales = per_channel_scales(read(tensor), 0)
    shape = dims(tensor)
    weight = add_weight(
        graph,
        f"{value.name}.uint8",
        ir.DataType.UINT8,
        shape,
        partial(_unsigned, tensor, scales),
    )
    x, scale, zero = quantized
    weight_zero = add_constant(graph, f"{value.name}.zero", np.array(UNSIGNED_ZERO, np.uint8))
    product = ir.Node(
        "",
        "ConvInteger",
        [x, weight, zero, weight_zero],
        node.attributes.values(),
        name=f"{node.name}/integer",
    )
    product.outputs[0].name = f"{product.name}.out"
    product.outputs[0].type = ir.TensorType(ir.DataType.INT32)
    product.outputs[0].shape = node.outputs[0].shape
    graph.insert_before(node, product)
    spread = scales.reshape(1, -1, *([1] * (len(shape) - 2)))
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    scale_value = add_constant(graph, f"{value.name}.scales", spread)
    _scale_back(node, product.outputs[0], scale, scale_value, _column(node, bias, len(shape) - 2))


def _unsigned(tensor: ir.TensorProtocol, scales: Array) -> Array:
    signed = quantize_per_channel(read(tensor), scales, 0).astype(np.int16)
    return (signed + UNSIGNED_ZERO).astype(np.uint8)


def _column(node: ir.Node, bias: ir.Value | None, n_spatial: int) -> ir.Value | None:
    """A bias `[channels]` as `[1, channels, 1...]`."""
    if bias is None:
        return None
    graph = graph_of(node)
    axes = np.array([0, *range(2, 2 + n_spatial)], np.int64)
    tensor = bias.const_value if bias.is_initializer() else None
    if tensor is not None:
        return add_constant(graph, f"{bias.name}.column", np.expand_dims(read(tensor), tuple(axes)))
    inputs = [bias, add_constant(graph, f"{bias.name}.axes", axes)]
    return insert(node, "Unsqueeze", inputs, name=f"{node.name}/bias_column")[0]


def _scale_back(
    node: ir.Node, product: ir.Value, x: ir.Value, weight: ir.Value, bias: ir.Value | None
) -> None:
    """The int32 products as float: times the scales of input and weight, plus the bias."""
    name, shape = node.name, node.outputs[0].shape
    cast_attributes = {"to": ir.DataType.FLOAT}
    (real,) = insert(node, "Cast", [product], cast_attributes, name=f"{name}/cast", shapes=[shape])
    (scale,) = insert(node, "Mul", [x, weight], name=f"{name}/scale", shapes=[weight.shape])
    (result,) = insert(node, "Mul", [real, scale], name=f"{name}/scaled", shapes=[shape])
    if bias is not None:
        (result,) = insert(node, "Add", [result, bias], name=f"{name}/biased", shapes=[shape])
    substitute(node.outputs[0], result)
