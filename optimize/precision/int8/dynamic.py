"""Dynamic INT8: activations are quantized at run time by their own range, weights per channel.

MatMul becomes DynamicQuantizeLinear, MatMulInteger, Cast, Mul: what ONNX Runtime fuses into
DynamicQuantizeMatMul, or MatMulIntegerToFloat where several products share an input. Conv becomes
ConvInteger; the CPU kernel wants unsigned weights (signed ones run five times slower). LSTM has an
operator of its own (`recurrent`), tables have scales per row (`tables`), and ConvTranspose, which
has no integer kernel, takes 8 bits for its weights alone. A weight is stored once, however many
nodes read it, in bodies of If, Loop and Scan too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Conversion, Evidence, Plan, Precision, Traits
from optimize.precision.shared import native_product, recurrent, tables
from optimize.precision.shared.integer_weight import of_product
from optimize.precision.shared.plan import (
    conversion,
    family_exclusions,
    in_bodies,
    merged,
    plan,
    with_finite_weights,
    without_spread_weights,
)
from optimize.precision.shared.quantize import per_channel_scales, quantize_per_channel
from optimize.precision.weights.weight_only import per_channel
from optimize.surgery.graph import (
    Array,
    add_constant,
    add_weight,
    dims,
    graph_of,
    home_of,
    insert,
    read,
    substitute,
    tensor_of,
    weight_of,
)
from optimize.surgery.scopes import derived
from vampnet_models.records.variant import MixedNode

_UNSIGNED_ZERO = 128
"""Of convolutions' weights: the CPU's ConvInteger is five times slower on signed ones."""

STORED = "int8-weights"
WEIGHTS_ALONE = "the runtime has no integer kernel for ConvTranspose: its weights alone take 8 bits"


@dataclass(frozen=True)
class DynamicInt8(Precision[Plan]):
    """8-bit weights and activations, ranges taken at run time; of all long `tables` where asked.

    `native` takes the optional library's products, whose rows have a range each.
    """

    tables: bool = False
    native: bool = False

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """The nodes that dynamic INT8 converts, and the heavy ones that it leaves, with reasons.

        Lookups come last: those of tables that a product shares, with `tables` all long ones.
        """
        exclusions = merged(family_exclusions(graph, traits), recurrent.exclusions(graph))
        # In a codec's decoder they stay in float: few weights, much of the error.
        stored = () if traits.is_family else ("ConvTranspose",)
        found = plan(graph, ("MatMul", "Conv", "LSTM", *stored), exclusions, batched=True)
        more = tables.lookups_of(found.chosen, graph, traits, every=self.tables)
        return Plan((*found.chosen, *more), found.left, traits=traits)

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """Quantize the nodes of the plan in place; weights are read when they are written."""
        graph = model.graph
        found = without_spread_weights(with_finite_weights(graph, plan))
        multiplied = tables.products_of(found.chosen)
        if self.native:
            for node, epilogue in native_product.taken_products(graph, found.chosen).items():
                native_product.integer_product(node, epilogue)
        convert_nodes([node for node in found.chosen if node.graph is not None], multiplied)
        mixed = [
            MixedNode(node.name or "", node.op_type, STORED, WEIGHTS_ALONE)
            for node in found.chosen
            if node.op_type == "ConvTranspose"
        ]
        done = conversion(graph, len(found.chosen) - len(mixed), "int8", found.left, mixed)
        return tables.told(done, graph, plan.traits)


def unobserved(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """The targets that static ranges cannot be had for or have no kernel for, with the reason."""
    bodies, found = in_bodies(graph), {}
    for node in DynamicInt8().plan(graph, traits).chosen:
        tensor = weight_of(node)
        if node in bodies:
            found[node] = f"{bodies[node]}, its range is taken at run time"
        elif node.op_type == "LSTM":
            found[node] = recurrent.AT_RUN_TIME
        elif node.op_type == "MatMul" and tensor is not None and len(dims(tensor)) > 2:
            found[node] = "a stack of matrices: its input's range is taken at run time"
        elif node.op_type == "ConvTranspose":
            found[node] = WEIGHTS_ALONE
    return found


def convert_nodes(nodes: Sequence[ir.Node], multiplied: Mapping[ir.Value, bool]) -> None:
    """Quantize these nodes, a part of the plan's, in their order.

    `multiplied` are the `tables.products_of` all nodes that are converted in the model.
    """
    quantized: dict[tuple[ir.Value, ir.Graph], Sequence[ir.Value]] = {}
    for node in nodes:
        x = node.inputs[0]
        assert x is not None
        if node.op_type == "Gather":
            tables.convert(node, multiplied.get(x, False))
        elif node.op_type == "LSTM":
            recurrent.by_kernel(node)
        elif node.op_type == "ConvTranspose":
            per_channel(node)
        else:
            # What a body quantizes is not seen outside, nor by its neighbour.
            key = (x, graph_of(node))
            if key not in quantized:
                quantized[key] = _quantize_input(node, x)
            if node.op_type == "MatMul":
                _matmul(node, quantized[key])
            else:
                _convolution(node, quantized[key])


def _quantize_input(before: ir.Node, x: ir.Value) -> Sequence[ir.Value]:
    """x as uint8, its scale and its zero point."""
    types = (ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8)
    shapes = [x.shape, (), ()]
    name = f"{x.name}/quantize"
    return insert(before, "DynamicQuantizeLinear", [x], name=name, dtypes=types, shapes=shapes)


def _matmul(node: ir.Node, quantized: Sequence[ir.Value]) -> None:
    weight = of_product(node)
    x, scale, zero = quantized
    (product,) = insert(
        node,
        "MatMulInteger",
        [x, weight.values, zero],
        name=f"{node.name}/integer",
        dtypes=[ir.DataType.INT32],
        shapes=[node.outputs[0].shape],
    )
    _scale_back(node, product, scale, weight.scales, None)


def _convolution(node: ir.Node, quantized: Sequence[ir.Value]) -> None:
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    n_spatial = len(dims(tensor)) - 2

    def make() -> tuple[ir.Value, ir.Value]:
        graph, shape = home_of(value), dims(tensor)
        scales = per_channel_scales(read(tensor), 0)
        unsigned = partial(_unsigned, tensor, scales)
        spread = scales.reshape(1, -1, *([1] * n_spatial))
        return (
            add_weight(graph, f"{value.name}.uint8", ir.DataType.UINT8, shape, unsigned),
            add_constant(graph, f"{value.name}.scales", spread),
        )

    weight, scales = derived(value, "uint8", make)
    x, scale, zero = quantized
    weight_zero = add_constant(
        graph_of(node), f"{node.name}.zero", np.array(_UNSIGNED_ZERO, np.uint8)
    )
    (product,) = insert(
        node,
        "ConvInteger",
        [x, weight, zero, weight_zero],
        {name: attribute.value for name, attribute in node.attributes.items()},
        name=f"{node.name}/integer",
        dtypes=[ir.DataType.INT32],
        shapes=[node.outputs[0].shape],
    )
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    _scale_back(node, product, scale, scales, _column(node, bias, n_spatial))


def _unsigned(tensor: ir.TensorProtocol, scales: Array) -> Array:
    signed = quantize_per_channel(read(tensor), scales, 0).astype(np.int16)
    return (signed + _UNSIGNED_ZERO).astype(np.uint8)


def _column(node: ir.Node, bias: ir.Value | None, n_spatial: int) -> ir.Value | None:
    """A bias `[channels]` as `[1, channels, 1...]`."""
    if bias is None:
        return None
    axes = np.array([0, *range(2, 2 + n_spatial)], np.int64)
    tensor = tensor_of(bias)
    if tensor is None:
        inputs = [bias, add_constant(graph_of(node), f"{bias.name}.axes", axes)]
        return insert(node, "Unsqueeze", inputs, name=f"{node.name}/bias_column")[0]

    def make() -> tuple[ir.Value]:
        column = np.expand_dims(read(tensor), tuple(axes))
        return (add_constant(home_of(bias), f"{bias.name}.column", column),)

    return derived(bias, ("column", n_spatial), make)[0]


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
