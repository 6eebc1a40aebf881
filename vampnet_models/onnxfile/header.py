"""Our own check of an ONNX file before any library reads it: structure, sizes, shapes, locations.

Whatever a file declares is compared with what it holds, so that no reader allocates, opens or
follows what the file alone asks for. The walk sees every message of the file (main graph, bodies,
functions, attributes, sparse tensors, training information) and copies none of its weights.

Sources: protobuf encoding specification; onnx.proto (field numbers, which data field holds which
type, packing of types below a byte).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from enum import IntEnum, auto
from pathlib import Path

import onnx_ir as ir

from vampnet_models.onnxfile.external import External, check_files, external_of, shown
from vampnet_models.onnxfile.header_values import (
    MAX_RANK,
    bits_of,
    check_dims,
    count_values,
    entry_of,
    integers_of,
    size_of,
)
from vampnet_models.onnxfile.wire import LENGTH, VARINT, Data, fields, signed

_BUDGET_BYTES = 400_000_000
_BUDGET_PER_BYTE = 10
"""What reading may take in memory: so much, and so many times the file's own size."""

_MAX_GRAPHS_DEEP = 24
"""Bodies inside bodies; protobuf itself stops at a hundred messages, three to a body."""

_MAX_TYPES_DEEP = 16

_MAX_DENSE_BYTES = 256 * 1024 * 1024
"""A sparse tensor's dense form, which its file does not hold."""

_CHECKED = 64
"""Files whose check is remembered while they stay as they are."""


class _Kind(IntEnum):
    """What a field holds, as far as the walk must know."""

    TEXT = auto()
    BYTES = auto()
    MODEL = auto()
    GRAPH = auto()
    NODE = auto()
    ATTRIBUTE = auto()
    TENSOR = auto()
    SPARSE = auto()
    FUNCTION = auto()
    TRAINING = auto()
    VALUE = auto()
    ENTRY = auto()
    OPSET = auto()
    ANNOTATION = auto()
    TYPE = auto()
    NESTED_TYPE = auto()
    TENSOR_TYPE = auto()
    SHAPE = auto()


_K = _Kind
_COST_BYTES = {_K.NODE: 1500, _K.TENSOR: 1800, _K.GRAPH: 2000, _K.FUNCTION: 2300, _K.VALUE: 850}
_COST_BYTES |= {_K.ATTRIBUTE: 500, _K.TEXT: 100, _K.SPARSE: 1800, _K.TYPE: 0, _K.TENSOR_TYPE: 0}
_OTHER_BYTES = 100
_OPERAND_BYTES = 500
_NUMBER_BYTES = 35
"""What a message of two bytes takes once protobuf and onnx_ir have read it, as measured; a name of
a node's input or output more than other texts; a number of an attribute."""

_MESSAGES: dict[_Kind, dict[int, _Kind]] = {
    _K.MODEL: {2: _K.TEXT, 3: _K.TEXT, 4: _K.TEXT, 6: _K.TEXT, 7: _K.GRAPH, 8: _K.OPSET}
    | {14: _K.ENTRY, 20: _K.TRAINING, 25: _K.FUNCTION},
    _K.GRAPH: {1: _K.NODE, 2: _K.TEXT, 5: _K.TENSOR, 10: _K.TEXT, 11: _K.VALUE, 12: _K.VALUE}
    | {13: _K.VALUE, 14: _K.ANNOTATION, 15: _K.SPARSE, 16: _K.ENTRY},
    _K.NODE: {
        1: _K.TEXT,
        2: _K.TEXT,
        3: _K.TEXT,
        4: _K.TEXT,
        5: _K.ATTRIBUTE,
        6: _K.TEXT,
        7: _K.TEXT,
    }
    | {8: _K.TEXT, 9: _K.ENTRY},
    _K.ATTRIBUTE: {1: _K.TEXT, 5: _K.TENSOR, 6: _K.GRAPH, 10: _K.TENSOR, 11: _K.GRAPH, 13: _K.TEXT}
    | {9: _K.BYTES, 14: _K.TYPE, 15: _K.TYPE, 21: _K.TEXT, 22: _K.SPARSE, 23: _K.SPARSE},
    _K.FUNCTION: {
        1: _K.TEXT,
        4: _K.TEXT,
        5: _K.TEXT,
        6: _K.TEXT,
        7: _K.NODE,
        8: _K.TEXT,
        9: _K.OPSET,
    }
    | {10: _K.TEXT, 11: _K.ATTRIBUTE, 12: _K.VALUE, 13: _K.TEXT, 14: _K.ENTRY},
    _K.TRAINING: {1: _K.GRAPH, 2: _K.GRAPH, 3: _K.ENTRY, 4: _K.ENTRY},
    _K.VALUE: {1: _K.TEXT, 2: _K.TYPE, 3: _K.TEXT, 4: _K.ENTRY},
    _K.ENTRY: {1: _K.TEXT, 2: _K.TEXT},
    _K.OPSET: {1: _K.TEXT},
    _K.ANNOTATION: {1: _K.TEXT, 2: _K.ENTRY},
    _K.TYPE: {
        1: _K.TENSOR_TYPE,
        4: _K.NESTED_TYPE,
        5: _K.NESTED_TYPE,
        6: _K.TEXT,
        8: _K.TENSOR_TYPE,
    }
    | {9: _K.NESTED_TYPE},
    # A sequence's and an optional's element is field 1, a map's value field 2.
    _K.NESTED_TYPE: {1: _K.TYPE, 2: _K.TYPE},
    _K.TENSOR_TYPE: {2: _K.SHAPE},
    _K.SHAPE: {},
}

_SINGLE: dict[_Kind, frozenset[int]] = {
    _K.MODEL: frozenset({7}),
    _K.ATTRIBUTE: frozenset({5, 6, 14, 22}),
    _K.TRAINING: frozenset({1, 2}),
    _K.VALUE: frozenset({2}),
    _K.TYPE: frozenset({1, 4, 5, 8, 9}),
    _K.NESTED_TYPE: frozenset({1, 2}),
    _K.TENSOR_TYPE: frozenset({2}),
}
"""Messages that stand at most once: readers would merge two, which no check of each would see."""

_OF_DTYPE = {ir.DataType.FLOAT: 4, ir.DataType.COMPLEX64: 4, ir.DataType.STRING: 6}
_OF_DTYPE |= {ir.DataType.INT64: 7, ir.DataType.DOUBLE: 10, ir.DataType.COMPLEX128: 10}
_OF_DTYPE |= {ir.DataType.UINT32: 11, ir.DataType.UINT64: 11}
_INT32_DATA = 5
_NUMBERS = {7: 4, 8: None}
"""A list of floats or integers in an attribute: bytes per value, None for varints."""

_DATA_FIELDS = {4: 4, 5: None, 6: None, 7: None, 10: 8, 11: None}
"""Typed data by field: bytes per value where it is of fixed size."""


def check_header(path: Path) -> tuple[External, ...]:
    """Check a file as `checked` does; a file that stays as it is is walked once.

    Raises ValueError, and InputError where external data is missing, short, a link, or outside.
    """
    found = path.stat()
    key = (path.absolute(), found.st_ino, found.st_size, found.st_mtime_ns)
    known = _known.get(key)
    if known is None:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            known = checked(data)
        while len(_known) >= _CHECKED:
            del _known[next(iter(_known))]
        _known[key] = known
    check_files(path, known)
    return known


_known: dict[tuple[Path, int, int, int], tuple[External, ...]] = {}


def checked(data: Data) -> tuple[External, ...]:
    """Walk a whole model and return what it keeps outside.

    Raises ValueError in one line where the message is truncated, nested too deep, too large for
    what it holds, or declares tensors that it does not hold.
    """
    walk = _Walk(data)
    try:
        walk.message(_K.MODEL, 0, len(data))
    except IndexError as error:
        raise ValueError("it ends in the middle of a field") from error
    except UnicodeDecodeError as error:
        raise ValueError("a name in it is no UTF-8 text") from error
    return tuple(walk.externals)


class _Walk:
    """One pass over a file."""

    def __init__(self, data: Data) -> None:
        self.data = data
        self.externals: list[External] = []
        self.graphs = self.types = self.no_external = 0
        self.budget_bytes = _BUDGET_BYTES + _BUDGET_PER_BYTE * len(data)
        self.special: dict[_Kind, Callable[[int, int], object]] = {
            _K.TENSOR: self.tensor,
            _K.SPARSE: self.sparse,
            _K.SHAPE: self.shape,
            _K.TENSOR_TYPE: self.tensor_type,
        }

    def message(self, kind: _Kind, start: int, end: int) -> None:
        """A message of which only the fields of `_MESSAGES` matter."""
        self.enter(kind)
        data, table, single = self.data, _MESSAGES[kind], _SINGLE.get(kind, frozenset())
        seen = 0
        is_node, is_attribute = kind is _K.NODE, kind is _K.ATTRIBUTE
        for field in fields(data, start, end):
            number, wire_type, at, stop, _ = field
            if is_attribute and number in _NUMBERS:
                self.spend(_NUMBER_BYTES * count_values(data, field, _NUMBERS[number]))
                continue
            child = table.get(number)
            if child is None or wire_type != LENGTH:
                continue
            self.spend(_COST_BYTES.get(child, _OTHER_BYTES))
            if child is _K.TEXT:
                data[at:stop].decode()
                if is_node and number <= 2:
                    self.spend(_OPERAND_BYTES)
                continue
            if child is _K.BYTES:
                continue
            if number in single:
                if seen >> number & 1:
                    raise ValueError(f"a {child.name.lower()} stands twice where one belongs")
                seen |= 1 << number
            special = self.special.get(child)
            if special is not None:
                special(at, stop)
            else:
                self.message(child, at, stop)
        self.leave(kind)

    def spend(self, cost_bytes: int) -> None:
        """Take from the budget. Raises ValueError where the file asks for more than it may."""
        self.budget_bytes -= cost_bytes
        if self.budget_bytes < 0:
            raise ValueError(
                f"its {len(self.data):,} bytes would take over {_BUDGET_BYTES:,} bytes of memory "
                "to read: too many nodes, names or numbers"
            )

    def enter(self, kind: _Kind) -> None:
        """Keep count of what nests. Raises ValueError where that goes too deep."""
        if kind is _K.GRAPH:
            self.graphs += 1
            if self.graphs > _MAX_GRAPHS_DEEP:
                raise ValueError(f"its graphs are nested over {_MAX_GRAPHS_DEEP} deep")
        elif kind is _K.TYPE:
            self.types += 1
            if self.types > _MAX_TYPES_DEEP:
                raise ValueError(f"a type is nested over {_MAX_TYPES_DEEP} deep")
        elif kind in (_K.FUNCTION, _K.TRAINING):
            self.no_external += 1

    def leave(self, kind: _Kind) -> None:
        """The end of what `enter` counted."""
        self.graphs -= kind is _K.GRAPH
        self.types -= kind is _K.TYPE
        self.no_external -= kind in (_K.FUNCTION, _K.TRAINING)

    def tensor_type(self, start: int, end: int) -> None:
        """An element type that exists, and a shape whose known dimensions make a size."""
        dtype = 0
        dims: list[int] = []
        for number, wire_type, at, stop, _ in fields(self.data, start, end):
            if number == 1 and wire_type == VARINT:
                dtype = at
            elif number == 2 and wire_type == LENGTH:
                if dims:
                    raise ValueError("a shape stands twice where one belongs")
                dims = self.shape(at, stop)
        width = 8 if dtype == 0 else bits_of(dtype, "a value")
        size_of([dim for dim in dims if dim >= 0], width, "a value")

    def shape(self, start: int, end: int) -> list[int]:
        """The dimensions; an unknown one is -1, as is one below 0 to ONNX Runtime."""
        dims = []
        for number, wire_type, at, stop, _ in fields(self.data, start, end):
            if number != 1 or wire_type != LENGTH:
                continue
            self.spend(_OTHER_BYTES)
            dim = -1
            for inner, inner_type, value, inner_end, _ in fields(self.data, at, stop):
                if inner == 1 and inner_type == VARINT:
                    dim = signed(value)
                elif inner in (2, 3) and inner_type == LENGTH:
                    self.data[value:inner_end].decode()
                    dim = -1 if inner == 2 else dim
            dims.append(dim)
        if len(dims) > MAX_RANK:
            raise ValueError(f"a value has {len(dims)} dimensions, over {MAX_RANK}")
        return dims

    def sparse(self, start: int, end: int) -> None:
        """Values and indices that fit each other and the dense shape."""
        parts: dict[int, tuple[list[int], int, str]] = {}
        dims: list[int] = []
        self.no_external += 1
        for field in fields(self.data, start, end):
            number, wire_type, at, stop, _ = field
            if number in (1, 2) and wire_type == LENGTH:
                if number in parts:
                    raise ValueError("a tensor stands twice where one belongs")
                parts[number] = self.tensor(at, stop)
            elif number == 3:
                dims += integers_of(self.data, field)
        self.no_external -= 1
        if set(parts) != {1, 2}:
            raise ValueError("a sparse tensor lacks its values or its indices")
        (values, dtype, name), (indices, index_dtype, _) = parts[1], parts[2]
        check_dims(dims, name)
        fits = len(values) == 1 and indices in ([values[0]], [values[0], len(dims)])
        if not fits or ir.DataType(index_dtype) is not ir.DataType.INT64:
            raise ValueError(f"sparse tensor {name}: its indices do not fit its values")
        dense = size_of(dims, bits_of(dtype, name), name)
        if dense > _MAX_DENSE_BYTES or values[0] > math.prod(dims):
            raise ValueError(
                f"sparse tensor {name}: its dense form of {dense:,} bytes is over "
                f"{_MAX_DENSE_BYTES:,}, or holds fewer values than are given"
            )

    def tensor(self, start: int, end: int) -> tuple[list[int], int, str]:
        """A tensor that holds what its shape says; its dims, dtype and name."""
        dims: list[int] = []
        held: dict[int, int] = {}
        entries: dict[str, str] = {}
        dtype = location = 0
        raw: int | None = None
        name = ""
        for field in fields(self.data, start, end):
            number, wire_type, at, stop, _ = field
            if number == 1:
                dims += integers_of(self.data, field)
                if len(dims) > MAX_RANK:
                    raise ValueError(f"a tensor has over {MAX_RANK} dimensions")
            elif number == 2 and wire_type == VARINT:
                dtype = at
            elif number in _DATA_FIELDS:
                count = 1 if number == 6 else count_values(self.data, field, _DATA_FIELDS[number])
                self.spend(count * 8)
                held[number] = held.get(number, 0) + count
            elif number == 8 and wire_type == LENGTH:
                name = self.data[at:stop].decode()
            elif number == 9 and wire_type == LENGTH:
                raw = stop - at
            elif number == 12 and wire_type == LENGTH:
                self.data[at:stop].decode()
            elif number in (13, 16) and wire_type == LENGTH:
                self.message(_K.ENTRY, at, stop)
                if number == 13:
                    entries.update([entry_of(self.data, at, stop)])
            elif number == 14 and wire_type == VARINT and at in (0, 1):
                location = at
        told = f"tensor {shown(name)!r}"
        check_dims(dims, told)
        bits, size = bits_of(dtype, told), size_of(dims, bits_of(dtype, told), told)
        if entries or location:
            outer = external_of(told, entries, size)
            if location:
                if raw or any(held.values()):
                    raise ValueError(f"{told} has its data twice, in the file and outside")
                if self.no_external or ir.DataType(dtype) is ir.DataType.STRING:
                    raise ValueError(
                        f"{told} has external data in a function, a sparse tensor, training "
                        "information or strings, where none can be read; put it in the file"
                    )
                self.externals.append(outer)
                return dims, dtype, told
        number = _OF_DTYPE.get(ir.DataType(dtype), _INT32_DATA)
        needed = math.prod(dims)
        if raw is not None:
            found, needed = raw, size
        elif number == _INT32_DATA and bits < 8:
            found, needed = held.get(number, 0), size
        else:
            found = held.get(number, 0)
            needed *= 2 if ir.DataType(dtype).name.startswith("COMPLEX") else 1
        if found != needed:
            unit = "bytes" if raw is not None else "values"
            raise ValueError(f"{told} of shape {dims} holds {found} {unit}, not {needed}")
        return dims, dtype, told
