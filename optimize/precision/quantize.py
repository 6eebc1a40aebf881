"""Weights to integers: symmetric, round to nearest, per channel or per block. Pure functions."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Bits = Literal[4, 8]
Floats = NDArray[np.float32]
Array = NDArray[Any]

SMALLEST_SCALE = np.float32(2.0**-100)
"""Stands in for the scale of an all-zero channel, whose quotients would be undefined."""


def per_channel_scales(weight: Floats, axis: int, bits: Bits = 8) -> Floats:
    """float32 `[channels]`: the largest magnitude of each channel over 127 (or 7)."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    top = np.abs(weight).max(axis=others) / np.float32(2 ** (bits - 1) - 1)
    scales: Floats = np.maximum(top, SMALLEST_SCALE).astype(np.float32)
    return scales


def quantize_per_channel(
    weight: Floats, scales: Floats, axis: int, bits: Bits = 8
) -> NDArray[np.int8]:
    """int8 values of `weight / scales`, in [-127, 127] or [-7, 7]."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    limit = 2 ** (bits - 1) - 1
    rounded = np.clip(np.rint(weight / scales.reshape(shape)), -limit, limit)
    integers: NDArray[np.int8] = rounded.astype(np.int8)
    return integers


def block_scales(weight: Floats, axis: int, block: int, bits: Bits) -> Floats:
    """The scale of each block of `block` values along `axis`; the axis shrinks to blocks.

    4 bits have one more negative value than positive: the value of the largest magnitude is mapped
    to -8, whatever its sign, unless magnitude / 7 gives the smaller squared error in that block.
    """
    blocks = _blocks(weight, axis, block)
    top = np.abs(blocks).max(axis=axis + 1)
    if bits == 8:
        scales = top / np.float32(127)
    else:
        at = np.expand_dims(np.abs(blocks).argmax(axis=axis + 1), axis + 1)
        extreme = np.take_along_axis(blocks, at, axis + 1).squeeze(axis + 1)
        wide, even = extreme / np.float32(-8), top / np.float32(7)
        better = _error(blocks, even, axis) < _error(blocks, wide, axis)
        scales = np.where(better, even, wide)
    tiny = np.abs(scales) < SMALLEST_SCALE
    return np.where(tiny, SMALLEST_SCALE, scales).astype(np.float32)


def quantize_blocks(
    weight: Floats, scales: Floats, axis: int, block: int, bits: Bits
) -> NDArray[np.int8]:
    """int8 values of each block over its scale, in [-128, 127] or [-8, 7], shaped as `weight`."""
    blocks = _blocks(weight, axis, block)
    quotients: Array = blocks / np.expand_dims(scales, axis + 1)
    values = _round(quotients, bits).astype(np.int8)
    shape = list(weight.shape)
    shape[axis] = values.shape[axis] * block
    whole = values.reshape(shape)
    return np.ascontiguousarray(np.take(whole, np.arange(weight.shape[axis]), axis=axis))


def pack_matmul(weight: Floats, scales: Floats, block: int, bits: Bits) -> NDArray[np.uint8]:
    """MatMulNBits' blob `[columns, blocks, block * bits / 8]` of a `[rows, columns]` matrix.

    `scales` is `[blocks, columns]`. Values are stored with the operator's default zero point
    (8 or 128); two 4-bit values share a byte, the first in the low half. A last partial block is
    padded by zeros.
    """
    n_rows, n_columns = weight.shape
    n_blocks = scales.shape[0]
    padded = np.zeros((n_blocks * block, n_columns), np.float32)
    padded[:n_rows] = weight
    signed = quantize_blocks(padded, scales, 0, block, bits).astype(np.int16)
    stored = (signed + 2 ** (bits - 1)).astype(np.uint8)
    rows = np.ascontiguousarray(stored.T).reshape(n_columns, n_blocks, block)
    if bits == 8:
        return rows
    packed: NDArray[np.uint8] = rows[:, :, 0::2] | (rows[:, :, 1::2] << 4)
    return packed


def dequantize(values: Array, scales: Floats, axis: int, block: int | None = None) -> Floats:
    """What DequantizeLinear computes: per channel, or per block along `axis`."""
    if block is not None:
        expanded = np.repeat(scales, block, axis=axis)
        wide = np.take(expanded, np.arange(values.shape[axis]), axis=axis)
        return (values * wide).astype(np.float32)
    shape = [1] * values.ndim
    shape[axis] = -1
    return (values * scales.reshape(shape)).astype(np.float32)


def _blocks(weight: Floats, axis: int, block: int) -> Floats:
    """`weight` with `axis` split into (blocks, block), padded by zeros to whole blocks."""
    length = weight.shape[axis]
    n_blocks = -(-length // block)
    if n_blocks * block != length:
        padding = [(0, 0)] * weight.ndim
        padding[axis] = (0, n_blocks * block - length)
        weight = np.pad(weight, padding)
    shape = (*weight.shape[:axis], n_blocks, block, *weight.shape[axis + 1 :])
    return weight.reshape(shape)


def _round(quotients: Array, bits: Bits) -> Floats:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rounded: Floats = np.clip(np.rint(quotients), low, high)
    return rounded


def _error(blocks: Floats, scales: Floats, axis: int) -> Floats:
    safe = np.where(scales == 0, SMALLEST_SCALE, scales)
    wide = np.expand_dims(safe, axis + 1).astype(np.float32)
    error: Floats = np.square(_round(blocks / wide, 4) * wide - blocks).sum(axis=axis + 1)
    return error
