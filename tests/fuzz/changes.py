"""Changes of bytes that any format meets: flips, cuts, copies, extreme numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

Rng = np.random.Generator

EXTREMES = (
    *(0, 1, 2, 3, 7, 15, 16, 127, 128, 255, 256, 1000, 4095, 32767, 32768, 65535, 65536),
    *(2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**61 - 1, 2**63 - 1, 2**63),
    2**64 - 1,
)


def pick(rng: Rng, values: Sequence):
    """One of them."""
    return values[int(rng.integers(len(values)))]


def extreme(rng: Rng, bits: int) -> int:
    """A number at the edge of something, of at most `bits` bits, unsigned."""
    value = pick(rng, EXTREMES)
    if rng.random() < 0.3:
        value += int(rng.integers(-3, 4))
    return value % (1 << bits)


def at_bytes(data: bytes, rng: Rng, start: int = 0, stop: int | None = None) -> bytes:
    """One to eight changes of bytes between two places."""
    changed = bytearray(data)
    stop = min(len(data) if stop is None else stop, len(data))
    for _ in range(int(rng.integers(1, 9))):
        place = int(rng.integers(start, max(stop, start + 1)))
        pick(rng, _CHANGES)(changed, min(place, max(len(changed) - 1, 0)), rng)
    return bytes(changed)


def _flip(data: bytearray, place: int, rng: Rng) -> None:
    if data:
        data[place] ^= 1 << int(rng.integers(8))


def _set(data: bytearray, place: int, rng: Rng) -> None:
    if data:
        data[place] = int(rng.integers(256))


def _number(data: bytearray, place: int, rng: Rng) -> None:
    size, code = pick(rng, ((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    order = pick(rng, "<>")
    data[place : place + size] = struct.pack(order + code, extreme(rng, 8 * size))


def _delete(data: bytearray, place: int, rng: Rng) -> None:
    del data[place : place + int(rng.integers(1, 65))]


def _insert(data: bytearray, place: int, rng: Rng) -> None:
    data[place:place] = rng.bytes(int(rng.integers(1, 65)))


def _copy(data: bytearray, place: int, rng: Rng) -> None:
    size = int(rng.integers(1, 257))
    data[place:place] = data[place : place + size]


def _cut(data: bytearray, place: int, rng: Rng) -> None:
    if rng.random() < 0.3:
        del data[place:]


_CHANGES: tuple[Callable[[bytearray, int, Rng], None], ...] = (
    _flip, _flip, _set, _set, _number, _number, _number, _delete, _insert, _copy, _cut,
)  # fmt: skip
