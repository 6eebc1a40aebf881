"""Weights to integers: symmetric, round to nearest, per channel or per block. Pure functions."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Bits = Literal[4, 8]
Floats = NDArray[np.float32]
_Array = NDArray[Any]

SMALLEST_SCALE = np.float32(2.0**-100)
"""Stands in for the scale of an all-zero channel, whose quotients would be undefined."""

PANEL_ELEMENTS = 1 << 17
"""Values worked on at a time: few enough that they stay in a core's cache."""

_RANGE_SHARES = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7)
"""The whole range first, so that nothing is clipped where that gains nothing."""


def per_channel_scales(weight: Floats, axis: int) -> Floats:
    """float32 `[channels]`: the largest magnitude of each channel over 127."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    magnitudes = np.maximum(weight.max(axis=others), -weight.min(axis=others))
    scales: Floats = np.maximum(magnitudes / np.float32(127), SMALLEST_SCALE).astype(np.float32)
    return scales


def vector_scales(weight: Floats, axis: int) -> Floats:
    """float32 scale of each vector of 8-bit values along `axis`, which stays as an axis of 1."""
    magnitudes = np.maximum(
        weight.max(axis=axis, keepdims=True), -weight.min(axis=axis, keepdims=True)
    )
    scales: Floats = np.maximum(magnitudes / np.float32(127), SMALLEST_SCALE).astype(np.float32)
    return scales


def quantize_per_channel(weight: Floats, scales: Floats, axis: int) -> NDArray[np.int8]:
    """int8 values of `weight / scales`, in [-127, 127]."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    return quantize_by(weight, scales.reshape(shape))


def quantize_by(weight: Floats, scales: Floats) -> NDArray[np.int8]:
    """The same for scales with as many axes as `weight`, each of its length or of 1."""
    integers = np.empty(weight.shape, np.int8)
    step = max(1, PANEL_ELEMENTS * len(weight) // max(1, weight.size))
    for first in range(0, len(weight), step):
        part = slice(first, first + step)
        panel = weight[part] / (scales if len(scales) == 1 else scales[part])
        np.rint(panel, out=panel)
        integers[part] = np.clip(panel, -127, 127, out=panel)
    return integers


def block_scales(weight: Floats, axis: int, block: int, bits: Bits) -> Floats:
    """The scale of each block of `block` values along `axis`; the axis shrinks to blocks.

    4 bits have one more negative value than positive: the value of the largest magnitude is mapped
    to -8, whatever its sign, unless magnitude / 7 gives the smaller squared error in that block.
    """
    length, others = weight.shape[axis], max(1, weight.size // max(1, weight.shape[axis]))
    step = block * max(1, PANEL_ELEMENTS // (block * others))
    parts = []
    for first in range(0, length, step):
        panel = weight[(slice(None),) * axis + (slice(first, first + step),)]
        parts.append(_scales(_split_blocks(panel, axis, block), axis + 1, bits))
    return np.concatenate(parts, axis)


def _scales(blocks: Floats, axis: int, bits: Bits) -> Floats:
    """`block_scales` of what is split already; the values of a block lie along `axis`."""
    low, high = blocks.min(axis=axis), blocks.max(axis=axis)
    top = np.maximum(high, -low)
    if bits == 8:
        scales = top / np.float32(127)
    else:
        wide = np.where(high >= -low, high, low) / np.float32(-8)
        even = top / np.float32(7)
        better = _error(blocks, even, axis) < _error(blocks, wide, axis)
        scales = np.where(better, even, wide)
    tiny = np.abs(scales) < SMALLEST_SCALE
    return np.where(tiny, SMALLEST_SCALE, scales).astype(np.float32)


def asymmetric_blocks(
    weight: Floats, axis: int, block: int, bits: Bits
) -> tuple[Floats, NDArray[np.uint8]]:
    """Scales and zero points of each block along `axis`, from its smallest and largest value.

    Zero is always a value of its own: the range is widened to hold it.
    """
    blocks = _split_blocks(weight, axis, block)
    low = np.minimum(blocks.min(axis=axis + 1), 0)
    high = np.maximum(blocks.max(axis=axis + 1), 0)
    top = 2**bits - 1
    scales = np.maximum((high - low) / np.float32(top), SMALLEST_SCALE).astype(np.float32)
    zeros = np.clip(np.rint(-low / scales), 0, top).astype(np.uint8)
    return scales, zeros


def fitted_blocks(
    weight: Floats, axis: int, block: int, bits: Bits
) -> tuple[Floats, NDArray[np.uint8]]:
    """As `asymmetric_blocks`, each block's range shrunk to where its squared error is least.

    A search over `_RANGE_SHARES`: clipping the extremes costs little where many values gain.
    """
    scales, zeros = asymmetric_blocks(weight, axis, block, bits)
    blocks = _split_blocks(weight, axis, block)
    top = np.float32(2**bits - 1)
    best = np.full(scales.shape, np.inf, np.float32)
    for share in _RANGE_SHARES:
        narrow = asymmetric_blocks(weight * np.float32(share), axis, block, bits)
        step, zero = (np.expand_dims(part.astype(np.float32), axis + 1) for part in narrow)
        values = np.clip(np.rint(blocks / step) + zero, 0, top)
        error = np.square((values - zero) * step - blocks).sum(axis=axis + 1)
        better = error < best
        best = np.where(better, error, best)
        scales = np.where(better, narrow[0], scales)
        zeros = np.where(better, narrow[1], zeros)
    return scales, zeros


def quantize_asymmetric(
    weight: Floats, scales: Floats, zeros: NDArray[np.uint8], axis: int, block: int, bits: Bits
) -> NDArray[np.uint8]:
    """uint8 values in [0, 2^bits - 1], shaped as `weight` padded to whole blocks along `axis`."""
    blocks = _split_blocks(weight, axis, block)
    shifted = np.rint(blocks / np.expand_dims(scales, axis + 1)) + np.expand_dims(zeros, axis + 1)
    values: NDArray[np.uint8] = np.clip(shifted, 0, 2**bits - 1).astype(np.uint8)
    shape = (*weight.shape[:axis], -1, *weight.shape[axis + 1 :])
    return values.reshape(shape)


def quantize_blocks(
    weight: Floats, scales: Floats, axis: int, block: int, bits: Bits
) -> NDArray[np.int8]:
    """int8 values of each block over its scale, in [-128, 127] or [-8, 7], shaped as `weight`."""
    blocks = _split_blocks(weight, axis, block)
    quotients: _Array = blocks / np.expand_dims(scales, axis + 1)
    values = _round(quotients, bits).astype(np.int8)
    shape = list(weight.shape)
    shape[axis] = values.shape[axis] * block
    whole = values.reshape(shape)
    return np.ascontiguousarray(whole[(slice(None),) * axis + (slice(weight.shape[axis]),)])


def pack_matmul(
    weight: Floats,
    scales: Floats,
    block: int,
    bits: Bits,
    zeros: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """MatMulNBits' blob `[columns, blocks, block * bits / 8]` of a `[rows, columns]` matrix.

    `scales` is `[blocks, columns]`, and so is `zeros` (by default the operator's own zero point,
    8 or 128); two 4-bit values share a byte, the first in the low half. A last partial block is
    padded by zeros.
    """
    n_columns, n_blocks = weight.shape[1], scales.shape[0]
    stored = np.empty((n_blocks * block, n_columns), np.uint8)
    step = max(1, PANEL_ELEMENTS // (block * n_columns))
    for first in range(0, n_blocks, step):
        part, rows = slice(first, first + step), slice(first * block, (first + step) * block)
        # Only the last panel is short: its missing rows are zeros, and so is what they become.
        panel = _split_blocks(weight[rows], 0, block).reshape(-1, n_columns)
        if zeros is None:
            signed = quantize_blocks(panel, scales[part], 0, block, bits)
            stored[rows] = signed.view(np.uint8) + np.uint8(2 ** (bits - 1))
        else:
            stored[rows] = quantize_asymmetric(panel, scales[part], zeros[part], 0, block, bits)
    by_column = np.ascontiguousarray(stored.T).reshape(n_columns, n_blocks, block)
    if bits == 8:
        return by_column
    packed: NDArray[np.uint8] = by_column[:, :, 0::2] | (by_column[:, :, 1::2] << 4)
    return packed


def pack_zeros(zeros: NDArray[np.uint8], bits: Bits) -> NDArray[np.uint8]:
    """MatMulNBits' zero points `[columns * ceil(blocks * bits / 8)]` of `[blocks, columns]`."""
    rows = np.ascontiguousarray(zeros.T)
    if bits == 8:
        return rows.reshape(-1)
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    low, high = rows[:, 0::2], rows[:, 1::2]
    return np.ascontiguousarray(low | (high << 4)).astype(np.uint8).reshape(-1)


def _split_blocks(weight: Floats, axis: int, block: int) -> Floats:
    """`weight` with `axis` split into (blocks, block), padded by zeros to whole blocks."""
    length = weight.shape[axis]
    n_blocks = -(-length // block)
    if n_blocks * block != length:
        padding = [(0, 0)] * weight.ndim
        padding[axis] = (0, n_blocks * block - length)
        weight = np.pad(weight, padding)
    shape = (*weight.shape[:axis], n_blocks, block, *weight.shape[axis + 1 :])
    return weight.reshape(shape)


def _round(quotients: _Array, bits: Bits) -> Floats:
    """The quotients themselves, rounded in place."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    np.rint(quotients, out=quotients)
    rounded: Floats = np.clip(quotients, low, high, out=quotients)
    return rounded


def _error(blocks: Floats, scales: Floats, axis: int) -> Floats:
    safe = np.where(scales == 0, SMALLEST_SCALE, scales)
    wide = np.expand_dims(safe, axis).astype(np.float32)
    difference: _Array = _round(blocks / wide, 4)
    difference *= wide
    difference -= blocks
    error: Floats = np.square(difference, out=difference).sum(axis=axis)
    return error
