"""What single fields of an ONNX header hold: counts, sizes, integers and entries."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from vampnet_models.onnxfile.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Data,
    Field,
    fields,
    signed,
)

MAX_RANK = 64
"""NumPy's limit."""

_MAX_BYTES = 2**62


def count_values(data: Data, field: Field, width_bytes: int | None) -> int:
    """How many numbers a repeated field holds: one, or a packed run, of varints without a width."""
    _, wire_type, at, stop, _ = field
    if wire_type != LENGTH:
        return 1
    if width_bytes is not None:
        return (stop - at) // width_bytes
    # The last byte of each varint is below 128.
    return int(np.count_nonzero(np.frombuffer(data[at:stop], np.uint8) < 128))


def check_dims(dims: list[int], told: str) -> None:
    """Raise ValueError where a dimension is below 0."""
    if any(dim < 0 for dim in dims):
        raise ValueError(f"{told} has a dimension below 0: {dims}")


def bits_of(dtype: int, told: str) -> int:
    """Bits per value; a string counts as none. Raises ValueError on a type that is none."""
    try:
        found = ir.DataType(dtype)
    except ValueError:
        raise ValueError(f"{told} is of type {dtype}, which ONNX does not have") from None
    if found is ir.DataType.UNDEFINED:
        raise ValueError(f"{told} is of no type")
    return 0 if found is ir.DataType.STRING else found.bitwidth


def size_of(dims: list[int], bits: int, told: str) -> int:
    """The size of a tensor. Raises ValueError where no machine can hold or count it."""
    n = math.prod(dims)
    # Readers multiply the dimensions in 64 bits, a zero among them or not.
    if math.prod(dim for dim in dims if dim) * max(bits, 8) // 8 >= _MAX_BYTES:
        raise ValueError(f"{told} of shape {dims} is larger than any memory")
    return (n * bits + 7) // 8


def integers_of(data: Data, field: Field) -> list[int]:
    """The values of a repeated integer field, packed or one."""
    _, wire_type, at, stop, _ = field
    if wire_type == VARINT:
        return [signed(at)]
    if wire_type in (FIXED32, FIXED64):
        return []
    if stop - at > 10 * MAX_RANK:
        raise ValueError(f"a tensor has over {MAX_RANK} dimensions")
    found, position = [], at
    value = shift = 0
    for byte in data[position:stop]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 128:
            found.append(signed(value))
            value = shift = 0
    return found


def entry_of(data: Data, start: int, end: int) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    found = {1: "", 2: ""}
    for number, wire_type, at, stop, _ in fields(data, start, end):
        if number in found and wire_type == LENGTH:
            found[number] = data[at:stop].decode()
    return found[1], found[2]
