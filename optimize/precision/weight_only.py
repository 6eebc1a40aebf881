"""Weights in 8 or 4 bits: MatMulNBits, and DequantizeLinear before convolutions.

MatMul: com.microsoft MatMulNBits with blocks along the rows, or (per channel) int8 weights cast to
float and one scale per column on the product: DequantizeLinear before it would be fused to a
kernel that quantizes the activations too. Conv and ConvTranspose: 8 bits with one scale per output
channel, 4 bits (opset 21's INT4) with one scale per block of input channels and tap. The runtime
unpacks the convolutions' weights in each run and computes them in float. Lookups, where asked for:
8-bit tables with one scale per row, which is looked up beside it. MatMulNBits may quantize its
input too, block by block, and compute in integers (`Settings.accuracy_level`): faster, and no
longer weights alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import onnx_ir as ir

from optimize.graph import (
    MICROSOFT,
    Array,
    add_constant,
    add_weight,
    dims,
    drop_unused,
    insert,
    read,
    substitute,
    weight_of,
)
from optimize.precision.plan import (
    Conversion,
    MixedNode,
    Plan,
    code_path,
    constant_lookups,
    conversion,
    embedding_projections,
    merged,
    plan,
    single_channel_ends,
)
from optimize.precision.quantize import (
    Bits,
    asymmetric_blocks,
    block_scales,
    fitted_blocks,
    pack_matmul,
    pack_zeros,
    per_channel_scales,
    quantize_blocks,
    quantize_per_channel,
)
from vampnet_models.errors import InputError

MIN_ELEMENTS = 2048
"""Smaller weights stay: their scales and the extra node would eat the saving."""

MIN_TABLE_ROWS = 256
"""Shorter tables stay: a few rows weigh nothing."""

INT8_COMPUTE = 4
"""MatMulNBits' accuracy level: activations are quantized to 8 bits inside the kernel."""

FLOAT_COMPUTE = 0
"""MatMulNBits' accuracy level: activations stay as they are."""


EIGHT_BIT_TABLE = "a table: its rows are too short for 4 bits and a scale"

INT8 = ir.DataType.INT8

Method = Literal["symmetric", "asymmetric", "fitted", "gptq"]


@dataclass(frozen=True)
class Settings:
    """Bits of the weights, values per scale, and how MatMulNBits computes.

    `block` None gives each column (output channel) one scale. `method` other than `symmetric`
    gives blocks of MatMul a zero point: from the extremes (`asymmetric`) or
    with the range that fits best (`fitted`), or as `asymmetric` with rounding calibrated on inputs
    (`gptq`, see `calibrated_weights`). `tables` takes the tables of lookups too, always to 8 bits:
    the small models lose a tenth of their size, c2f 0.9 points of its tokens, the decoder 1.5 dB.
    """

    bits: Bits
    block: int | None = 32
    accuracy_level: int = FLOAT_COMPUTE
    method: Method = "symmetric"
    tables: bool = False


@dataclass(frozen=True)
class Rounded:
    """A matrix that is quantized already: scales, zero points, and how to get MatMulNBits' blob.

    Without zero points the operator's own stand, 8 or 128.
    """

    scales: Array
    zeros: Array | None
    blob: Callable[[], Array]


def convert(
    model: ir.Model,
    settings: Settings,
    rounded: Mapping[ir.Node, Rounded] | None = None,
    chosen: Plan | None = None,
) -> Conversion:
    """Quantize the weights of a model in place; each is read once for its scales, once to write.

    MatMuls that are `rounded` already get those values. `chosen` are its `targets` or a part of
    them.

    Raises InputError where 4 bits are asked for without blocks: no kernel takes them.
    """
    if settings.bits == 4 and settings.block is None:
        raise InputError("4 bits per channel: too coarse, and no kernel takes it; give a block")
    graph = model.graph
    found = chosen or targets(graph, tables=settings.tables)
    mixed: list[MixedNode] = []
    for node in found.chosen:
        if node.op_type == "Gather":
            if settings.bits == 4:
                mixed.append(MixedNode(node.name or "", node.op_type, "int8", EIGHT_BIT_TABLE))
            _table(graph, node)
        elif node.op_type == "MatMul" and settings.block is not None:
            quantize_matmul(graph, node, settings, (rounded or {}).get(node))
        elif settings.bits == 4 and settings.block and has_four_bits(node, settings.block):
            _block_convolution(graph, node, settings.block)
        elif node.op_type == "MatMul":
            _cast_matmul(graph, node)
        else:
            if settings.bits == 4:
                n_in = _shape(node)[_input_axis(node)]
                reason = f"its {n_in} input channels are no whole blocks of {settings.block}"
                mixed.append(MixedNode(node.name or "", node.op_type, "int8", reason))
            _per_channel(graph, node)
    drop_unused(model)
    n_converted = len(found.chosen) - len(mixed)
    return conversion(graph, n_converted, f"int{settings.bits}", found.left, mixed)


def targets(graph: ir.Graph, *, tables: bool = False) -> Plan:
    """The nodes whose weights are quantized, and the heavy ones that stay, with reasons.

    With `tables` the `lookups` come after them.
    """
    exclusions = merged(code_path(graph), single_channel_ends(graph), embedding_projections(graph))
    found = plan(graph, ("MatMul", "Conv", "ConvTranspose"), exclusions, MIN_ELEMENTS)
    return Plan((*found.chosen, *lookups(graph)), found.left) if tables else found


def lookups(graph: ir.Graph) -> tuple[ir.Node, ...]:
    """Lookups in long constant tables, but for those that decide the codes."""
    exclusions = code_path(graph)
    found = []
    for node in constant_lookups(graph, MIN_ELEMENTS):
        table = weight_of(node, 0)
        assert table is not None
        if node not in exclusions and dims(table)[0] >= MIN_TABLE_ROWS:
            found.append(node)
    return tuple(found)


def _table(graph: ir.Graph, node: ir.Node) -> None:
    """A lookup's rows in 8 bits, each times the scale that is looked up beside it."""
    tensor, value, output = weight_of(node, 0), node.inputs[0], node.outputs[0]
    assert tensor is not None and value is not None
    scales, ids, name = per_channel_scales(read(tensor), 0), node.inputs[1], node.name

    def quantized() -> Array:
        return quantize_per_channel(read(tensor), scales, 0)

    shape = dims(tensor)
    integers = add_weight(graph, f"{value.name}.int8", ir.DataType.INT8, shape, quantized)
    by_row = add_constant(graph, f"{value.name}.scales", scales.reshape(-1, 1))
    axis = {"axis": 0}
    lookup = insert(node, "Gather", [integers, ids], axis, name=f"{name}/int8", dtypes=[INT8])
    (factors,) = insert(node, "Gather", [by_row, ids], axis, name=f"{name}/scales")
    (rows,) = insert(node, "Cast", lookup, {"to": ir.DataType.FLOAT}, name=f"{name}/cast")
    (new,) = insert(node, "Mul", [rows, factors], name=f"{name}/rows", shapes=[output.shape])
    substitute(output, new)


def quantize_matmul(
    graph: ir.Graph, node: ir.Node, settings: Settings, rounded: Rounded | None = None
) -> None:
    """Replace a MatMul with a constant matrix by MatMulNBits."""
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    n_rows, n_columns = _shape(node)
    bits, block = settings.bits, settings.block
    assert block is not None
    zeros = None
    if rounded is not None:
        scales, zeros = rounded.scales, rounded.zeros
    elif settings.method == "symmetric":
        scales = block_scales(read(tensor), 0, block, bits)
    else:
        fit = fitted_blocks if settings.method == "fitted" else asymmetric_blocks
        scales, zeros = fit(read(tensor), 0, block, bits)
    n_blocks = math.ceil(n_rows / block)

    def pack() -> Array:
        if rounded is not None:
            return rounded.blob()
        return pack_matmul(read(tensor), scales, block, bits, zeros)

    packed_shape = (n_columns, n_blocks, block * bits // 8)
    packed = add_weight(graph, f"{value.name}.int{bits}", ir.DataType.UINT8, packed_shape, pack)
    by_column = np.ascontiguousarray(scales.T).reshape(-1)
    inputs = [node.inputs[0], packed, add_constant(graph, f"{value.name}.scales", by_column)]
    if zeros is not None:
        inputs.append(add_constant(graph, f"{value.name}.zeros", pack_zeros(zeros, bits)))
    (new,) = insert(
        node,
        "MatMulNBits",
        inputs,
        {
            "K": n_rows,
            "N": n_columns,
            "bits": bits,
            "block_size": block,
            "accuracy_level": settings.accuracy_level,
        },
        name=f"{node.name}/int{bits}",
        domain=MICROSOFT,
    )
    substitute(node.outputs[0], new)


def _cast_matmul(graph: ir.Graph, node: ir.Node) -> None:
    """`x W` -> `(x cast(W / s)) s`: small on disk, unpacked when it is loaded."""
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    shape, output = _shape(node), node.outputs[0]
    scales = per_channel_scales(read(tensor), 1)

    def quantized() -> Array:
        return quantize_per_channel(read(tensor), scales, 1)

    integers = add_weight(graph, f"{value.name}.int8", ir.DataType.INT8, shape, quantized)
    to = {"to": ir.DataType.FLOAT.value}
    (floats,) = insert(node, "Cast", [integers], to, name=f"{node.name}/weight", shapes=[shape])
    inputs = [node.inputs[0], floats]
    (product,) = insert(node, "MatMul", inputs, name=f"{node.name}/int8", shapes=[output.shape])
    factor = add_constant(graph, f"{value.name}.scales", scales)
    (new,) = insert(
        node, "Mul", [product, factor], name=f"{node.name}/scale", shapes=[output.shape]
    )
    substitute(output, new)


def _per_channel(graph: ir.Graph, node: ir.Node) -> None:
    """A convolution's int8 weights with one scale per output channel."""
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    axis = 0 if node.op_type == "Conv" else 1
    shape = _shape(node)
    scales = per_channel_scales(read(tensor), axis)

    def quantized() -> Array:
        return quantize_per_channel(read(tensor), scales, axis)

    integers = add_weight(graph, f"{value.name}.int8", ir.DataType.INT8, shape, quantized)
    inputs = [integers, add_constant(graph, f"{value.name}.scales", scales)]
    name = f"{node.name}/weight"
    (new,) = insert(node, "DequantizeLinear", inputs, {"axis": axis}, name=name, shapes=[shape])
    node.replace_input_with(1, new)


def _block_convolution(graph: ir.Graph, node: ir.Node, block: int) -> None:
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    axis, shape = _input_axis(node), _shape(node)
    scales = block_scales(read(tensor), axis, block, 4)
    integers = add_weight(
        graph,
        f"{value.name}.int4",
        ir.DataType.INT4,
        shape,
        partial(_packed_int4, tensor, scales, axis, block),
    )
    inputs = [integers, add_constant(graph, f"{value.name}.scales", scales)]
    (new,) = insert(
        node,
        "DequantizeLinear",
        inputs,
        {"axis": axis, "block_size": block},
        name=f"{node.name}/weight",
        shapes=[shape],
    )
    node.replace_input_with(1, new)


def _packed_int4(
    tensor: ir.TensorProtocol, scales: Array, axis: int, block: int
) -> ir.TensorProtocol:
    """An INT4 tensor, two values per byte, the first in the low half."""
    values = quantize_blocks(read(tensor), scales, axis, block, 4)
    nibbles = values.reshape(-1).view(np.uint8) & 0x0F
    if nibbles.size % 2:
        nibbles = np.append(nibbles, np.uint8(0))
    packed = nibbles[0::2] | (nibbles[1::2] << 4)
    return ir.PackedTensor(packed, ir.DataType.INT4, shape=values.shape)


def has_four_bits(node: ir.Node, block: int = 32) -> bool:
    """Whether a node among the `targets` gets 4 bits, and not 8 for want of whole blocks."""
    return node.op_type == "MatMul" or _has_blocks(node, block)


def _has_blocks(node: ir.Node, block: int) -> bool:
    return _shape(node)[_input_axis(node)] % block == 0


def _input_axis(node: ir.Node) -> int:
    """The axis of the weight that is summed over: `[out, in, k]` or, transposed, `[in, out, k]`."""
    return 1 if node.op_type == "Conv" else 0


def _shape(node: ir.Node) -> tuple[int, ...]:
    tensor = weight_of(node)
    assert tensor is not None
    return dims(tensor)
