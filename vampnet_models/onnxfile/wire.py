"""A single-file model without its weights in memory: the file serves as its own external data.

A scan of the protobuf wire format finds where the `raw_data` of each initializer lies in the file.
What remains is a small message that names those places as external data of the file itself, so that
readers map them and never hold them all.

Sources: protobuf encoding specification (varints, length-delimited fields); onnx.proto (ModelProto
7 graph; GraphProto 5 initializer; TensorProto 9 raw_data, 13 external_data, 14 data_location).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

GRAPH, INITIALIZER = 7, 5
RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 9, 13, 14
_EXTERNAL = 1
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

_SMALL_BYTES = 1024
"""Tensors below this stay in the message: shapes, axes, scales."""


Data = mmap.mmap | bytes


class Field(NamedTuple):
    """A field of a message: `value` is a varint's value itself, else where the content starts.

    It lies from `start` to `end`, its key included.
    """

    number: int
    wire_type: int
    value: int
    end: int
    start: int


def skeleton(path: Path) -> bytes:
    """The ModelProto of a file, large initializers as external data of the file itself.

    Raises ValueError where the bytes are no protobuf message or end too early.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts = [
            _delimited(GRAPH, _graph(data, each, path.name))
            if each.number == GRAPH and each.wire_type == LENGTH
            else data[each.start : each.end]
            for each in fields(data, 0, len(data))
        ]
    return b"".join(parts)


def fields(data: Data, start: int, end: int) -> Iterator[Field]:
    """The fields of a message that lies in `data[start:end]`.

    Raises ValueError on an unknown wire type, or a field that reaches beyond the end; IndexError
    where the data itself ends in a key.
    """
    position = start
    while position < end:
        at = position
        key = data[position]
        position += 1
        if key > 0x7F:
            key, position = _varint(data, at, end)
        number, wire_type = key >> 3, key & 7
        if wire_type in (LENGTH, VARINT):
            value = data[position]
            if value > 0x7F:
                value, position = _varint(data, position, end)
            else:
                position += 1
            if wire_type == LENGTH:
                length, value = value, position
                position += length
        elif wire_type == FIXED64:
            value, position = position, position + 8
        elif wire_type == FIXED32:
            value, position = position, position + 4
        else:
            raise ValueError(f"wire type {wire_type} at byte {at}: no protobuf message")
        if number == 0 or position > end:
            raise ValueError(f"field {number} at byte {at} reaches beyond the message's end")
        yield Field(number, wire_type, value, position, at)


def signed(value: int) -> int:
    """A varint as the int64 that it stands for."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _graph(data: mmap.mmap, graph: Field, name: str) -> bytes:
    parts = []
    for each in fields(data, graph.value, graph.end):
        is_large = each.number == INITIALIZER and each.end - each.value > _SMALL_BYTES
        if is_large and each.wire_type == LENGTH:
            parts.append(_delimited(INITIALIZER, _tensor(data, each, name)))
        else:
            parts.append(data[each.start : each.end])
    return b"".join(parts)


def _tensor(data: mmap.mmap, tensor: Field, name: str) -> bytes:
    """The tensor with its raw data named instead of held; others (float_data, ...) as they are."""
    parts, stale, raw = [], [], None
    for each in fields(data, tensor.value, tensor.end):
        if each.number == RAW_DATA and each.end - each.value >= _SMALL_BYTES:
            raw = each
        elif each.number == EXTERNAL_DATA:
            # `header` has refused data that stands twice: these entries are of no use.
            stale.append(data[each.start : each.end])
        else:
            parts.append(data[each.start : each.end])
    if raw is not None:
        entries = (
            ("location", name),
            ("offset", str(raw.value)),
            ("length", str(raw.end - raw.value)),
        )
        parts += [_delimited(EXTERNAL_DATA, _entry(*entry)) for entry in entries]
        parts.append(_encoded(DATA_LOCATION << 3 | VARINT) + _encoded(_EXTERNAL))
    else:
        parts += stale
    return b"".join(parts)


def _entry(key: str, value: str) -> bytes:
    return _delimited(1, key.encode()) + _delimited(2, value.encode())


def _delimited(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | LENGTH) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: mmap.mmap | bytes, position: int, end: int) -> tuple[int, int]:
    """A varint's value and where it ends. Raises ValueError when it does not end."""
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError(f"a number before byte {position} does not end")
