"""Weights in 8 or 4 bits: MatMulNBits, and DequantizeLinear before convolutions.

MatMul: com.microsoft MatMulNBits with blocks along the rows, or (per channel) int8 weights cast to
float and one scale per column on the product: DequantizeLinear before it would be fused to a
kernel that quantizes the activations too. Conv and ConvTranspose: 8 bits with one scale per output
channel, 4 bits (opset 21's INT4) with one scale per block of input channels and tap. The runtime
unpacks the convolutions' weights in each run and computes them in float. Stacks of matrices and
recurrent layers: 8 bits, unpacked at load. Lookups, where asked for: 8-bit tables with one scale
per row, which is looked up beside it (`tables`). MatMulNBits may quantize its input too, block by
block, and compute in integers (`accuracy_level`): faster, and no longer weights alone. A
weight is stored once, however many nodes read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Conversion, Evidence, Plan, Precision, Traits
from optimize.precision.shared import recurrent, tables
from optimize.precision.shared.integer_weight import of_channels, of_product
from optimize.precision.shared.plan import (
    MIN_ELEMENTS,
    code_path,
    conversion,
    embedding_projections,
    merged,
    plan,
    single_channel_ends,
    with_finite_weights,
    without_spread_weights,
)
from optimize.precision.shared.quantize import (
    Bits,
    asymmetric_blocks,
    block_scales,
    fitted_blocks,
    pack_matmul,
    pack_zeros,
    quantize_blocks,
)
from optimize.surgery.graph import (
    Array,
    add_constant,
    add_weight,
    dims,
    home_of,
    insert,
    read,
    substitute,
    weight_of,
)
from optimize.surgery.scopes import derived
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.operators import MICROSOFT, RECURRENT_OPS
from vampnet_models.records.variant import MixedNode

INT8_COMPUTE = 4
"""MatMulNBits' accuracy level: activations are quantized to 8 bits inside the kernel."""

FLOAT_COMPUTE = 0
"""MatMulNBits' accuracy level: activations stay as they are."""


_EIGHT_BIT_TABLE = "a table: its rows are too short for 4 bits and a scale"
_TIED = "its weight is a table too: both read the same 8 bits"
_STACK = "its weight is a stack of matrices: no kernel takes fewer bits; 8, unpacked at load"

Method = Literal["symmetric", "asymmetric", "fitted"]


@dataclass(frozen=True)
class Rounded:
    """A matrix that is quantized already: scales, zero points, and how to get MatMulNBits' blob.

    Scales are float32 or float16. Without zero points the operator's own stand, 8 or 128.
    """

    scales: Array
    zeros: Array | None
    blob: Callable[[], Array]


@dataclass(frozen=True)
class WeightOnly(Precision[Plan]):
    """Bits of the weights, values per scale, and how MatMulNBits computes.

    `block` None gives each column (output channel) one scale. `method` other than `symmetric`
    gives blocks of MatMul a zero point: from the extremes (`asymmetric`) or
    with the range that fits best (`fitted`). `tables` takes the tables of lookups too, always to 8
    bits: the small models lose a tenth of their size, c2f 0.9 points of its tokens, the decoder
    1.5 dB.
    """

    bits: Bits
    block: int | None = 32
    accuracy_level: int = FLOAT_COMPUTE
    method: Method = "symmetric"
    tables: bool = False

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """The nodes whose weights are quantized, and the heavy ones that stay, with reasons.

        Lookups come last: those of tables that a product shares, with `tables` all long ones.
        Raises InputError where 4 bits are asked for without blocks: no kernel takes them.
        """
        if self.bits == 4 and self.block is None:
            raise InputError("4 bits per channel: too coarse, and no kernel takes it; give a block")
        exclusions = merged(
            code_path(graph, traits),
            single_channel_ends(graph, traits),
            embedding_projections(graph, traits),
            recurrent.without_weights(graph),
        )
        ops = ("MatMul", "Conv", "ConvTranspose", *RECURRENT_OPS)
        found = plan(graph, ops, exclusions, MIN_ELEMENTS, batched=True)
        more = tables.lookups_of(found.chosen, graph, traits, every=self.tables)
        return Plan((*found.chosen, *more), found.left, traits=traits)

    def convertible(self, graph: ir.Graph, chosen: Plan) -> Plan:
        """The plan without weights that integers cannot hold; each is read once."""
        finite = with_finite_weights(graph, chosen)
        return without_spread_weights(finite, self.bits, self.block)

    def apply(
        self,
        model: ir.Model,
        plan: Plan,
        evidence: Evidence,
        rounded: Mapping[ir.Node, Rounded] | None = None,
    ) -> Conversion:
        """Quantize the weights of a model in place; each is read once more to write it.

        MatMuls that are `rounded` already get those values.
        """
        graph = model.graph
        found = self.convertible(graph, plan)
        multiplied, tied = tables.products_of(found.chosen), tables.tied_to_lookups(found.chosen)
        mixed: list[MixedNode] = []
        for node in found.chosen:
            reason = _in_eight_bits(node, self, node in tied)
            if self.bits == 4 and reason is not None:
                mixed.append(MixedNode(node.name or "", node.op_type, "int8", reason))
            if node.op_type == "Gather":
                tables.convert(node, multiplied.get(_operand(node), False))
            elif node.op_type in RECURRENT_OPS:
                recurrent.unpacked(node)
            elif node.op_type == "MatMul" and reason is not None:
                _cast_matmul(node)
            elif node.op_type == "MatMul":
                quantize_product(node, self, (rounded or {}).get(node))
            elif reason is not None:
                per_channel(node)
            else:
                _block_convolution(node, self.block or 0)
        n_converted = len(found.chosen) - len(mixed)
        done = conversion(graph, n_converted, f"int{self.bits}", found.left, mixed)
        return tables.told(done, graph, plan.traits)


def _operand(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _in_eight_bits(node: ir.Node, settings: WeightOnly, is_tied: bool) -> str | None:
    """Why a node gets 8 bits with a scale per channel or row; None where it gets blocks."""
    if node.op_type == "Gather":
        return _EIGHT_BIT_TABLE
    if node.op_type in RECURRENT_OPS:
        return recurrent.UNPACKED
    if node.op_type == "MatMul":
        if is_tied:
            return _TIED
        if len(_shape(node)) > 2:
            return _STACK
        return None if settings.block is not None else "per channel"
    if settings.bits == 8 or settings.block is None:
        return "per channel"
    if _has_blocks(node, settings.block):
        return None
    n_in = _shape(node)[_input_axis(node)]
    return f"its {n_in} input channels are no whole blocks of {settings.block}"


def quantize_product(node: ir.Node, settings: WeightOnly, rounded: Rounded | None = None) -> None:
    """Replace a MatMul with a constant matrix by MatMulNBits."""
    value = node.inputs[1]
    assert value is not None
    form = (settings.bits, settings.block, settings.method)
    stored = derived(value, form, lambda: _blob(node, value, settings, rounded))
    insert_product(node, stored, settings, f"{node.name}/int{settings.bits}")


def insert_product(
    node: ir.Node, stored: Sequence[ir.Value], settings: WeightOnly, name: str
) -> None:
    """MatMulNBits in place of a MatMul; `stored` are blob, scales and, where it has some, zeros.

    Scales in float16 are cast for it.
    """
    n_rows, n_columns = _shape(node)
    packed, scales, *zeros = stored
    if scales.dtype == ir.DataType.FLOAT16:
        to, cast = {"to": ir.DataType.FLOAT.value}, f"{node.name}/scales"
        (scales,) = insert(node, "Cast", [scales], to, name=cast, shapes=[scales.shape])
    (new,) = insert(
        node,
        "MatMulNBits",
        [node.inputs[0], packed, scales, *zeros],
        {
            "K": n_rows,
            "N": n_columns,
            "bits": settings.bits,
            "block_size": settings.block,
            "accuracy_level": settings.accuracy_level,
        },
        name=name,
        domain=MICROSOFT,
    )
    substitute(node.outputs[0], new)


def stored_scales(graph: ir.Graph, value: ir.Value, scales: Array) -> ir.Value:
    """The scales `[blocks, columns]` of a matrix as MatMulNBits has them, column by column."""
    by_column = np.ascontiguousarray(scales.T).reshape(-1)
    return add_constant(graph, f"{value.name}.scales", by_column)


def _blob(
    node: ir.Node, value: ir.Value, settings: WeightOnly, rounded: Rounded | None
) -> list[ir.Value]:
    """MatMulNBits' packed weight, scales and, with a method that has some, zero points."""
    tensor, (n_rows, n_columns) = weight_of(node), _shape(node)
    bits, block, graph = settings.bits, settings.block, home_of(value)
    assert tensor is not None and block is not None
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
    stored = [
        add_weight(graph, f"{value.name}.int{bits}", ir.DataType.UINT8, packed_shape, pack),
        stored_scales(graph, value, scales),
    ]
    if zeros is not None:
        stored.append(add_constant(graph, f"{value.name}.zeros", pack_zeros(zeros, bits)))
    return stored


def _cast_matmul(node: ir.Node) -> None:
    """`x W` -> `(x cast(W / s)) s`: small on disk, unpacked when it is loaded."""
    found, shape, output = of_product(node), _shape(node), node.outputs[0]
    to = {"to": ir.DataType.FLOAT.value}
    (floats,) = insert(node, "Cast", [found.values], to, name=f"{node.name}/weight", shapes=[shape])
    inputs = [node.inputs[0], floats]
    (product,) = insert(node, "MatMul", inputs, name=f"{node.name}/int8", shapes=[output.shape])
    factors = [product, found.scales]
    (new,) = insert(node, "Mul", factors, name=f"{node.name}/scale", shapes=[output.shape])
    substitute(output, new)


def per_channel(node: ir.Node) -> None:
    """A convolution's int8 weights with one scale per output channel."""
    value, axis = node.inputs[1], 0 if node.op_type == "Conv" else 1
    assert value is not None
    found = of_channels(value, axis)
    _dequantized(node, [found.values, found.scales], {"axis": axis})


def _dequantized(node: ir.Node, inputs: Sequence[ir.Value], attributes: dict[str, int]) -> None:
    name, shapes = f"{node.name}/weight", [_shape(node)]
    (new,) = insert(node, "DequantizeLinear", inputs, attributes, name=name, shapes=shapes)
    node.replace_input_with(1, new)


def _block_convolution(node: ir.Node, block: int) -> None:
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    axis, shape = _input_axis(node), _shape(node)

    def make() -> tuple[ir.Value, ir.Value]:
        graph, scales = home_of(value), block_scales(read(tensor), axis, block, 4)
        packed = partial(_packed_int4, tensor, scales, axis, block)
        return (
            add_weight(graph, f"{value.name}.int4", ir.DataType.INT4, shape, packed),
            add_constant(graph, f"{value.name}.scales", scales),
        )

    stored = derived(value, ("int4", axis, block), make)
    _dequantized(node, stored, {"axis": axis, "block_size": block})


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
    """Whether a node of the plan gets 4 bits, and not 8 for want of whole blocks."""
    if node.op_type == "MatMul":
        return len(_shape(node)) == 2
    return node.op_type in ("Conv", "ConvTranspose") and _has_blocks(node, block)


def _has_blocks(node: ir.Node, block: int) -> bool:
    return _shape(node)[_input_axis(node)] % block == 0


def _input_axis(node: ir.Node) -> int:
    """The axis of the weight that is summed over: `[out, in, k]` or, transposed, `[in, out, k]`."""
    return 1 if node.op_type == "Conv" else 0


def _shape(node: ir.Node) -> tuple[int, ...]:
    tensor = weight_of(node)
    assert tensor is not None
    return dims(tensor)
