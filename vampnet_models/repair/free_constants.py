"""Constants that a length was baked into, as tables that serve other lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampnet_models.architectures.transformer import MAX_DISTANCE, position_buckets
from vampnet_models.shapes.two_lengths import Refused

_Array = NDArray[Any]

_SINUSOID_ROWS = 2048
"""The position table of the exporter whose files have sinusoidal positions."""

_TOLERANCE = 1e-4
"""Of the largest value: how well a table must follow the formula of sinusoidal positions."""


_GROWTH_MARGIN = 1.25


@dataclass(frozen=True)
class Table:
    """A constant freed from its length.

    `values` is used as it is when `axes` is empty (the constant is the same along time); is cut to
    the length along `axes[0]` when that is one; and is looked up by offset (second axis minus
    first) along `axes[0]` when there are two: then it holds offsets from -half to half there, and
    the other axis has been removed. `longest` is the greatest length that it serves.
    """

    values: _Array
    axes: tuple[int, ...]
    what: str
    longest: int | None = None


def free_constant(values: _Array, axes: tuple[int, ...], length: int) -> Table:
    """Free a constant of the length along `axes`. Raises Refused when it cannot be done exactly."""
    left = []
    for axis in axes:
        first = np.take(values, [0], axis)
        if np.array_equal(np.broadcast_to(first, values.shape), values):
            values = first
        else:
            left.append(axis)
    if not left:
        return Table(values, (), "the same at every frame")
    if len(left) == 1:
        return _positions(values, left[0], length)
    if len(left) == 2:
        return _offsets(values, left[0], left[1], length)
    raise Refused(f"a constant varies along {len(left)} time axes")


def sinusoids(rows: int, width: int) -> list[_Array]:
    """Sinusoidal positions `[rows, width]` (Vaswani et al. 2017): interleaved, and in halves."""
    half = (width + 1) // 2
    steps = np.arange(rows, dtype=np.float64)[:, None]
    found = []
    for divisor in (half, max(1, half - 1)):
        angles = steps * np.exp(-np.log(10000.0) * np.arange(half) / divisor)
        sine, cosine = np.sin(angles), np.cos(angles)
        found.append(np.stack([sine, cosine], axis=2).reshape(rows, -1)[:, :width])
        found.append(np.concatenate([sine, cosine], axis=1)[:, :width])
    return found


def _positions(values: _Array, axis: int, length: int) -> Table:
    flat = np.moveaxis(values, axis, 0).reshape(length, -1).astype(np.float64)
    for formula in sinusoids(_SINUSOID_ROWS, flat.shape[1]):
        scale = float((flat * formula[:length]).sum() / np.square(formula[:length]).sum())
        error = np.abs(flat - scale * formula[:length]).max()
        if scale and error < _TOLERANCE * abs(scale) and length < _SINUSOID_ROWS:
            beyond = (scale * formula[length:]).astype(values.dtype)
            others = tuple(np.delete(values.shape, axis))
            rest = np.moveaxis(beyond.reshape(-1, *others), 0, axis)
            table = np.concatenate([values, rest], axis=axis)
            return Table(table, (axis,), "sinusoidal positions", _SINUSOID_ROWS)
    if (
        values.dtype.kind == "i"
        and np.array_equal(flat[:, 0], np.arange(length))
        and flat.shape[1] == 1
    ):
        rows = np.arange(_SINUSOID_ROWS, dtype=values.dtype)
        shape = [_SINUSOID_ROWS if a == axis else 1 for a in range(values.ndim)]
        return Table(rows.reshape(shape), (axis,), "frame numbers", _SINUSOID_ROWS)
    return Table(values, (axis,), "learned positions", length)


def _offsets(values: _Array, query: int, key: int, length: int) -> Table:
    """A bias that depends on (key - query) alone, by offset from -(length - 1) to length - 1.

    Beyond the last offset it stays the same where it is known to: by the buckets of T5, all of
    which were seen, or clearly by itself. Otherwise longer sequences would need offsets that are
    not in the file.
    """
    square = np.moveaxis(values, (query, key), (-2, -1))
    last = length - 1
    row = np.concatenate([square[..., ::-1, 0], square[..., 0, 1:]], axis=-1)
    offsets = np.arange(length)[None, :] - np.arange(length)[:, None]
    if not np.array_equal(row[..., offsets + last], square):
        raise Refused("a bias between frames depends on more than their distance")
    is_flat = _ends_flat(row[..., last:]) and _ends_flat(row[..., last::-1])
    saturated = is_flat or _is_t5(row, last)
    table = np.moveaxis(row, -1, query)
    what = "relative positions, constant at the ends" if saturated else "relative positions"
    return Table(table, (query, key), what, None if saturated else length)


def _changes(row: _Array) -> _Array:
    """Between which neighbouring offsets any head's bias differs."""
    flat = row.reshape(-1, row.shape[-1])
    return np.asarray((flat[:, 1:] != flat[:, :-1]).any(axis=0))


def _is_t5(row: _Array, last: int) -> bool:
    """Whether the bias changes exactly between T5's 32 buckets, up to the last ones."""
    buckets = position_buckets()
    if last < MAX_DISTANCE:
        buckets = buckets[MAX_DISTANCE - last : MAX_DISTANCE + last + 1]
    else:
        buckets = np.pad(buckets, last - MAX_DISTANCE, mode="edge")
    whole = position_buckets()
    reached = buckets[0] == whole[0] and buckets[-1] == whole[-1]
    return bool(reached) and np.array_equal(_changes(row), buckets[1:] != buckets[:-1])


def _ends_flat(row: _Array) -> bool:
    """Whether the bias over offsets 0, 1, ... has stopped changing for good.

    Logarithmic buckets grow by a constant factor: the last stretch must be longer than the one
    that this growth would give it.
    """
    starts = np.flatnonzero(_changes(row)) + 1
    if len(starts) < 2:
        return len(starts) == 0
    expected_end = starts[-1] * starts[-1] / starts[-2]
    return bool(row.shape[-1] - 1 > _GROWTH_MARGIN * expected_end)
