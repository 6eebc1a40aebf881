"""Six bits of a weight: a file of six, which the runtime makes MatMulNBits' eight of at load.

No kernel multiplies by 6 bits. The upper four of each value and the lower two are stored apart, in
4-bit tensors; constant nodes join them, 2 bits up, and the runtime folds these when it opens the
model. So the file is a quarter smaller than with 8 bits; memory and speed are those of 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from optimize.precision.weights.weight_only import (
    Rounded,
    WeightOnly,
    insert_product,
    stored_scales,
)
from optimize.surgery.graph import add_constant, add_weight, dims, home_of, insert, weight_of
from optimize.surgery.scopes import derived

BITS = 6
MIDDLE = 32
"""The integer that stands for 0."""

_UINT4, _UINT8 = ir.DataType.UINT4, ir.DataType.UINT8


def quantize_product(node: ir.Node, block: int, rounded: Rounded) -> None:
    """Replace a MatMul with a constant matrix by MatMulNBits in 8 bits, whose lowest 2 are 0.

    `rounded` holds integers of 0 to 63, uint8 `[columns, blocks, block]`, and a fourth of their
    scales.
    """
    value, tensor = node.inputs[1], weight_of(node)
    assert value is not None and tensor is not None
    n_rows, n_columns = dims(tensor)
    shape = (n_columns, -(-n_rows // block), block)

    def make() -> Sequence[ir.Value]:
        graph, name = home_of(value), f"{value.name}.int6"
        halved = (*shape[:2], block // 2)
        return (
            add_weight(
                graph, f"{name}.high", _UINT4, shape, lambda: _packed(rounded.blob() >> np.uint8(2))
            ),
            add_weight(graph, f"{name}.low", _UINT4, halved, lambda: _packed(_low(rounded.blob()))),
            stored_scales(graph, value, rounded.scales),
        )

    high, low, scales = derived(value, ("int6", block), make)
    packed = _joined(node, high, low, shape)
    insert_product(node, [packed, scales], WeightOnly(bits=8, block=block), f"{node.name}/int6")


def _high(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return values >> np.uint8(2)


def _low(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The lowest two bits of each value, those of a block's first half beside its second's."""
    half = values.shape[-1] // 2
    low: NDArray[np.uint8] = (values[..., :half] << np.uint8(2)) & np.uint8(12)
    return low | (values[..., half:] & np.uint8(3))


def _packed(values: NDArray[np.uint8]) -> ir.TensorProtocol:
    """A UINT4 tensor, two values per byte, the first in the low half."""
    flat = values.reshape(-1)
    return ir.PackedTensor(flat[0::2] | (flat[1::2] << 4), _UINT4, shape=values.shape)


def _joined(node: ir.Node, high: ir.Value, low: ir.Value, shape: Sequence[int]) -> ir.Value:
    """`high * 16 + low * 4`, uint8: the six bits on top."""
    graph, name = home_of(high), f"{node.name}/int6"

    def constant(value: int) -> ir.Value:
        return add_constant(graph, f"{name}.{value}", np.array(value, np.uint8))

    def bits(op: str, *inputs: ir.Value, part: str, **attributes: object) -> ir.Value:
        (made,) = insert(node, op, inputs, attributes, name=f"{name}/{part}", dtypes=[_UINT8])
        return made

    four, two, mask = constant(4), constant(2), constant(12)
    upper = bits("Cast", high, part="high", to=_UINT8)
    upper = bits("BitShift", upper, four, part="shifted", direction="LEFT")
    lower = bits("Cast", low, part="low", to=_UINT8)
    first = bits("BitwiseAnd", lower, mask, part="first")
    second = bits("BitShift", lower, two, part="moved", direction="LEFT")
    second = bits("BitwiseAnd", second, mask, part="second")
    lower = bits("Concat", first, second, part="both", axis=-1)
    joined = bits("BitwiseOr", upper, lower, part="joined")
    joined.shape = ir.Shape(list(shape))
    return joined
