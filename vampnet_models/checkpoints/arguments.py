"""Constructor arguments out of inert values: numbers, texts and short lists of them.

What numpy and torch would hold as arrays is read too: rates saved as an array are rates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np

from vampnet_models.checkpoints.pickle_values import Global, Record
from vampnet_models.checkpoints.stored_tensors import StoredTensor

NUMPY_DTYPE = Global("numpy", "dtype")
NUMPY_SCALAR = Global("numpy", "scalar")
NUMPY_ARRAY = Global("numpy", "ndarray")
ENCODED = Global("_codecs", "encode")
"""Classes of the records that stand for numpy's values, and for bytes of pickles before 3."""

_MAX_VALUES = 1024
"""No constructor argument is a longer list."""

_UNREAD = "(not read)"
"""In the place of a value that is not plain."""

_PLAIN_DTYPE = re.compile(r"[iu][1248]|f[248]|b1")

_Number = bool | int | float
_ReadTensor = Callable[[StoredTensor], list[_Number]]


def plain_values(values: object, read: _ReadTensor) -> dict[str, object]:
    """The entries of a dictionary, or of a record's attributes and items, as plain values.

    Lists and dictionaries keep numbers, texts and None; arrays and tensors of up to `_MAX_VALUES`
    become lists, of no dimension numbers; everything else is `_UNREAD`. `read` gives a tensor's
    values.
    """
    if isinstance(values, Record):
        values = {**values.attributes(), **values.items}
    if not isinstance(values, dict):
        return {}
    return {name: _plain(value, read) for name, value in values.items() if isinstance(name, str)}


def _plain(value: object, read: _ReadTensor) -> object:
    if isinstance(value, list | tuple) and len(value) <= _MAX_VALUES:
        values = [_single(v, read) for v in value]
        return _UNREAD if _UNREAD in values else values
    if isinstance(value, dict) and len(value) <= _MAX_VALUES:
        return {str(name): _single(v, read) for name, v in value.items()}
    if isinstance(value, Record) and value.cls == NUMPY_ARRAY:
        return _array(value.state)
    if isinstance(value, StoredTensor) and value.shape and value.n_values <= _MAX_VALUES:
        return read(value)
    return _single(value, read)


def _single(value: object, read: _ReadTensor) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, StoredTensor) and value.n_values == 1:
        return read(value)[0]
    if isinstance(value, Record) and value.cls == NUMPY_SCALAR:
        dtype, data = value.made if len(value.made) == 2 else (None, None)
        values = _numbers(dtype, data, 1)
        return values[0] if values else _UNREAD
    if isinstance(value, Record) and value.cls == NUMPY_ARRAY:
        inner = _array(value.state)
        return _UNREAD if isinstance(inner, list) else inner
    return _UNREAD


def _array(state: object) -> object:
    """`(version, shape, dtype, is_fortran, data)`; of two dimensions and more, nothing."""
    if not isinstance(state, tuple) or len(state) != 5:
        return _UNREAD
    _, shape, dtype, _, data = state
    if not isinstance(shape, tuple) or len(shape) > 1:
        return _UNREAD
    if not all(isinstance(n, int) and 0 <= n <= _MAX_VALUES for n in shape):
        return _UNREAD
    values = _numbers(dtype, data, math.prod(shape))
    if values is None:
        return _UNREAD
    return values if shape else values[0]


def _numbers(dtype: object, data: object, count: int) -> list[_Number] | None:
    """So many numbers of little-endian bytes, or of big-endian ones where the dtype says so."""
    if not isinstance(dtype, Record) or dtype.cls != NUMPY_DTYPE:
        return None
    code, order = _code_and_order(dtype)
    if not _PLAIN_DTYPE.fullmatch(code):
        return None
    kind = np.dtype(code).newbyteorder(">" if order == ">" else "<")
    raw = _bytes(data, kind.itemsize * count)
    if raw is None or len(raw) != kind.itemsize * count:
        return None
    values: list[_Number] = np.frombuffer(raw, kind).tolist()
    return values


def _code_and_order(dtype: Record) -> tuple[str, str]:
    """Of `dtype("i8", False, True)` with the state `(3, "<", ...)`."""
    code = dtype.made[0] if dtype.made else ""
    state = dtype.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    return (code if isinstance(code, str) else ""), (order if isinstance(order, str) else "<")


def _bytes(data: object, limit: int) -> bytes | None:
    """Bytes as they are, or as a pickle before protocol 3 has them: latin-1 text, encoded."""
    if isinstance(data, bytes | bytearray):
        return bytes(data[: limit + 1])
    if isinstance(data, Record) and data.cls == ENCODED:
        text = data.made[0] if data.made else None
        if isinstance(text, str) and len(text) <= limit:
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                return None
    return None


def shown(value: object) -> str:
    """A value from a file, for a message: its repr, cut."""
    if isinstance(value, list | tuple):
        value = list(value[:20])
    text = repr(value[:80] if isinstance(value, str | bytes) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
