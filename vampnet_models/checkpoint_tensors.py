"""The tensors of a checkpoint as views into its file: described first, read one at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampnet_models.checkpoint_pickle import Global
from vampnet_models.checkpoint_zip import Archive
from vampnet_models.errors import InputError

_STORED = {
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "float64": "f8",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "u1",
}
"""What numpy reads in place of each dtype (bfloat16 is the upper half of a float32)."""

_STORAGE_DTYPES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}

FLOATS = frozenset(("float32", "float16", "bfloat16", "float64"))
MAX_RANK = 16

QUANTIZED = "quantized, which loses what the import needs; give the float checkpoint"


@dataclass(frozen=True)
class Storage:
    """A run of values in the file; `dtype` is empty for an untyped storage (bytes)."""

    key: str
    dtype: str
    offset: int
    n_bytes: int


@dataclass(frozen=True)
class StoredTensor:
    """A strided view of a storage; offset and strides count values."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def n_values(self) -> int:
        """How many values the shape holds."""
        return math.prod(self.shape)

    @property
    def span(self) -> int:
        """How many values of the storage lie between the first and the last, inclusive."""
        if self.n_values == 0:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))


class StorageTable:
    """Finds the storages that a pickle's persistent ids name."""

    def __init__(self, archive: Archive, pattern: str) -> None:
        self.archive = archive
        self.pattern = pattern

    def resolve(self, identifier: object) -> Storage:
        """`("storage", type, key, location, n)` -> Storage. Raises InputError or ValueError."""
        match identifier:
            case ("storage", Global() as kind, str() | int() as key, _, int() as n_values):
                return self._storage(kind, str(key), n_values)
        raise ValueError("a persistent id that is no storage")

    def _storage(self, kind: Global, key: str, n_values: int) -> Storage:
        path = self.archive.path
        name = kind.name
        if not kind.module.startswith("torch"):
            raise InputError(f"{path}: a storage of type {kind}, which is not PyTorch's; refused")
        if name.startswith(("QInt", "QUInt")):
            raise InputError(f"{path}: a tensor is stored as {name}: {QUANTIZED}")
        if name not in _STORAGE_DTYPES and name != "UntypedStorage":
            raise InputError(f"{path}: a tensor is stored as {name}, which cannot be imported")
        dtype = _STORAGE_DTYPES.get(name, "")
        entry = self.archive.entries.get(self.pattern.format(key))
        if entry is None:
            raise InputError(
                f"{path}: the data of storage {key!r} is missing; copy or download it again"
            )
        declared = n_values * (_itemsize(dtype) if dtype else 1)
        if n_values < 0 or declared > entry.n_bytes:
            raise InputError(
                f"{path}: storage {key!r} declares {declared} bytes and holds {entry.n_bytes}; "
                "the file is damaged or forged"
            )
        return Storage(key=key, dtype=dtype, offset=entry.offset, n_bytes=declared)


def rebuild_tensor(
    storage: object, offset: object, shape: object, strides: object, *_rest: object
) -> StoredTensor:
    """`torch._utils._rebuild_tensor_v2`. Raises InputError for a view beyond its storage."""
    if not isinstance(storage, Storage) or not storage.dtype:
        raise TypeError("a tensor without a typed storage")
    return _view(storage, storage.dtype, offset, shape, strides)


def rebuild_untyped_tensor(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    _requires_grad: object,
    _hooks: object,
    dtype: object,
    *_rest: object,
) -> StoredTensor:
    """`torch._utils._rebuild_tensor_v3`: the dtype is given apart from the storage."""
    if not isinstance(storage, Storage) or not isinstance(dtype, Global):
        raise TypeError("a tensor without a storage or a dtype")
    if dtype.name not in _STORED:
        raise InputError(
            f"a tensor of dtype {dtype.name} cannot be imported; give the float checkpoint"
        )
    return _view(storage, dtype.name, offset, shape, strides)


def rebuild_parameter(tensor: object, *_rest: object) -> StoredTensor:
    """`torch._utils._rebuild_parameter`: the tensor itself."""
    if not isinstance(tensor, StoredTensor):
        raise TypeError("a parameter without a tensor")
    return tensor


def refuse_quantized(*_arguments: object) -> StoredTensor:
    """`torch._utils._rebuild_qtensor`."""
    raise InputError(f"a tensor is {QUANTIZED}")


class FileTensors:
    """A checkpoint's tensors (the `Tensors` protocol), read from the file each time."""

    def __init__(self, path: Path, big_endian: bool, tensors: Mapping[str, StoredTensor]) -> None:
        self.path = path
        self._order = ">" if big_endian else "<"
        self._tensors = dict(tensors)
        self._names = tuple(self._tensors)

    def names(self) -> tuple[str, ...]:
        """All names, in the order of the file."""
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape. Raises InputError that names the tensor when it is missing."""
        return self._tensor(name).shape

    def dtype(self, name: str) -> str:
        """The stored dtype. Raises InputError that names the tensor when it is missing."""
        return self._tensor(name).dtype

    def read(self, name: str) -> NDArray[np.float32]:
        """The values as float32, contiguous.

        Raises InputError when the tensor is missing or the file was cut.
        """
        tensor = self._tensor(name)
        values = _as_float32(self._raw(tensor), tensor.dtype)
        itemsize = values.itemsize
        if tensor.n_values:
            values = np.lib.stride_tricks.as_strided(
                values, tensor.shape, [s * itemsize for s in tensor.strides]
            )
        else:
            values = values.reshape(tensor.shape)
        return np.ascontiguousarray(values).reshape(tensor.shape)

    def _tensor(self, name: str) -> StoredTensor:
        if name not in self._tensors:
            raise InputError(f"{self.path}: the tensor {name} is missing")
        return self._tensors[name]

    def _raw(self, tensor: StoredTensor) -> NDArray[Any]:
        stored = np.dtype(self._order + _STORED[tensor.dtype])
        start = tensor.storage.offset + tensor.offset * stored.itemsize
        raw = np.fromfile(self.path, dtype=stored, count=tensor.span, offset=start)
        if raw.size != tensor.span:
            raise InputError(f"{self.path}: was cut while it was read; copy it again")
        return raw


def _view(
    storage: Storage, dtype: str, offset: object, shape: object, strides: object
) -> StoredTensor:
    sizes, steps = _counts(shape), _counts(strides)
    if len(sizes) != len(steps) or len(sizes) > MAX_RANK:
        raise ValueError("a tensor whose shape and strides do not match")
    tensor = StoredTensor(storage, dtype, _counts((offset,))[0], sizes, steps)
    available = storage.n_bytes // _itemsize(dtype)
    if tensor.n_values > available or tensor.offset + tensor.span > available:
        raise InputError(
            f"a tensor of shape {list(sizes)} (offset {tensor.offset}, strides {list(steps)}) "
            f"reaches beyond its storage of {available} values; the file is damaged or forged"
        )
    return tensor


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(isinstance(v, int) and v >= 0 for v in values):
        raise TypeError("a size, stride or offset that is no natural number")
    return values


def _itemsize(dtype: str) -> int:
    return np.dtype(_STORED[dtype]).itemsize


def _as_float32(raw: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    if dtype == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    # A float64 beyond float32's range becomes infinite, which `require_finite` refuses.
    with np.errstate(over="ignore"):
        return raw.astype(np.float32, copy=False)
