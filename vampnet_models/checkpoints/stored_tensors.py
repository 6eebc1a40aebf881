"""The tensors of a checkpoint as views into its file: described first, read one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampnet_models.checkpoints.pickle_values import Global
from vampnet_models.checkpoints.zip_entries import RESAVE, Entry, shortened
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
_MAX_RANK = 16
_MAX_EMPTY = 1 << 31
"""No size of a tensor without values is larger."""

_ALIASED = 4
"""So many times a file's own bytes may its tensors have: tied weights share a storage."""

QUANTIZED = "quantized, which loses what the import needs; give the float checkpoint"


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of values in the file; `dtype` is empty for an untyped storage (bytes)."""

    key: str
    dtype: str
    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True)
class StorageId:
    """What a persistent id says of a storage; `dtype` is empty for an untyped one."""

    key: str
    dtype: str
    n_bytes: int

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return _itemsize(self.dtype) if self.dtype else 1


def storage_id(path: Path, identifier: object) -> StorageId:
    """Of `("storage", type, key, location, n)`, in old files with a sixth entry that is None.

    Raises InputError for a type that cannot be read, ValueError for anything else.
    """
    match identifier:
        case ("storage", Global() as kind, str() | int() as key, _, int() as n_values, *rest):
            if rest not in ([], [None]):
                raise InputError(f"{path}: a storage is a part of another one; {RESAVE}")
            name = kind.name
            if not kind.module.startswith("torch"):
                raise InputError(
                    f"{path}: a storage of type {kind}, which is not PyTorch's; refused"
                )
            if name.startswith(("QInt", "QUInt")):
                raise InputError(f"{path}: a tensor is stored as {name}: {QUANTIZED}")
            if name not in _STORAGE_DTYPES and name != "UntypedStorage":
                raise InputError(f"{path}: a tensor is stored as {name}, which cannot be imported")
            dtype = _STORAGE_DTYPES.get(name, "")
            return StorageId(str(key), dtype, n_values * (_itemsize(dtype) if dtype else 1))
    raise ValueError("a persistent id that is no storage")


class StorageTable:
    """Finds the storages that a pickle's persistent ids name; `find` gives the place of a key."""

    def __init__(self, path: Path, find: Callable[[str], Entry | None]) -> None:
        self.path = path
        self.find = find
        self._known: dict[StorageId, Storage] = {}

    def resolve(self, identifier: object) -> Storage:
        """The storage of a persistent id. Raises InputError or ValueError."""
        wanted = storage_id(self.path, identifier)
        if wanted not in self._known:
            self._known[wanted] = self._storage(wanted)
        return self._known[wanted]

    def _storage(self, wanted: StorageId) -> Storage:
        key = shortened(wanted.key)
        entry = self.find(wanted.key)
        if entry is None:
            raise InputError(
                f"{self.path}: the data of storage {key!r} is missing; copy or download it again"
            )
        if not 0 <= wanted.n_bytes <= entry.n_bytes:
            raise InputError(
                f"{self.path}: storage {key!r} declares {wanted.n_bytes} bytes and holds "
                f"{entry.n_bytes}; the file is damaged or forged"
            )
        return Storage(wanted.key, wanted.dtype, entry.offset, wanted.n_bytes)


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
        return _viewed(tensor, _as_float32(self._raw(tensor), tensor.dtype))

    def _tensor(self, name: str) -> StoredTensor:
        if name not in self._tensors:
            raise InputError(f"{self.path}: the tensor {name} is missing")
        return self._tensors[name]

    def _raw(self, tensor: StoredTensor) -> NDArray[Any]:
        return _raw_values(self.path, self._order, tensor)


def _raw_values(path: Path, order: str, tensor: StoredTensor) -> NDArray[Any]:
    """The values between a tensor's first and last one, as they are stored.

    Raises InputError when the file was cut.
    """
    stored = np.dtype(order + _STORED[tensor.dtype])
    start = tensor.storage.offset + tensor.offset * stored.itemsize
    raw = np.fromfile(path, dtype=stored, count=tensor.span, offset=start)
    if raw.size != tensor.span:
        raise InputError(f"{path}: was cut while it was read; copy it again")
    return raw


def plain_numbers(path: Path, order: str, tensor: StoredTensor) -> list[bool | int | float]:
    """A small tensor's values, integers as integers."""
    raw = _raw_values(path, order, tensor)
    if tensor.dtype in FLOATS:
        raw = _as_float32(raw, tensor.dtype)
    elif tensor.dtype == "bool":
        raw = raw.astype(np.bool_)
    numbers: list[bool | int | float] = _viewed(tensor, raw).reshape(-1).tolist()
    return numbers


def require_own_bytes(path: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Raise InputError when tensors share storages so often that reading them has no end."""
    size = path.stat().st_size
    total = sum(t.n_values * _itemsize(t.dtype) for t in tensors.values())
    if total > _ALIASED * size:
        raise InputError(
            f"{path}: its {len(tensors)} tensors have {total} bytes in a file of {size}: one "
            "storage stands for many of them; refused"
        )


def _viewed(tensor: StoredTensor, values: NDArray[Any]) -> NDArray[Any]:
    if not tensor.n_values:
        return values.reshape(tensor.shape)
    # The stride of a single value says nothing, and may be any number.
    steps = [
        s * values.itemsize if n > 1 else 0
        for n, s in zip(tensor.shape, tensor.strides, strict=True)
    ]
    viewed = np.lib.stride_tricks.as_strided(values, tensor.shape, steps)
    return np.ascontiguousarray(viewed).reshape(tensor.shape)


def _view(
    storage: Storage, dtype: str, offset: object, shape: object, strides: object
) -> StoredTensor:
    sizes, steps = _counts(shape), _counts(strides)
    if len(sizes) != len(steps):
        raise ValueError("a tensor whose shape and strides do not match")
    tensor = StoredTensor(storage, dtype, _counts((offset,))[0], sizes, steps)
    available = storage.n_bytes // _itemsize(dtype)
    is_empty = tensor.n_values == 0 and math.prod(n for n in sizes if n) <= _MAX_EMPTY
    if not is_empty and not 0 < tensor.n_values <= available:
        raise _beyond(tensor, available)
    if tensor.offset + tensor.span > available:
        raise _beyond(tensor, available)
    return tensor


def _beyond(tensor: StoredTensor, available: int) -> InputError:
    return InputError(
        f"a tensor of shape {list(tensor.shape)} (offset {tensor.offset}, strides "
        f"{list(tensor.strides)}) reaches beyond its storage of {available} values; the file is "
        "damaged or forged"
    )


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > _MAX_RANK:
        raise TypeError("sizes or strides that are no short tuple")
    if not all(isinstance(v, int) and v >= 0 for v in values):
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
