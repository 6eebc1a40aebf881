"""Checkpoints of torch before 1.6: five pickles in a row, then the storages' bytes.

Magic number, protocol version, facts of the system, the object, the storages' keys; then, key by
key, the number of values as int64 and the values, all little-endian.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

from vampnet_models.checkpoints.calls import CALLS, is_namespace
from vampnet_models.checkpoints.pickle_values import Rules, read_pickle
from vampnet_models.checkpoints.stored_tensors import (
    Storage,
    StorageId,
    StorageTable,
    storage_id,
)
from vampnet_models.checkpoints.zip_entries import RESAVE, Entry, shortened
from vampnet_models.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT = struct.Struct("<q")

_PLAIN = Rules({}, lambda cls: False, lambda identifier: None)
"""For the pickles that hold numbers and texts only."""


def read_legacy(path: Path, max_pickle_bytes: int) -> object:
    """The object of such a file, its tensors as views into the file.

    Raises InputError for a damaged or forged file, or pickles larger than they need to be.
    """
    with path.open("rb") as file:
        stream = io.BytesIO(file.read(max_pickle_bytes))
    if _part(stream, path, "magic number") != _MAGIC:
        raise InputError(f"{path}: a pickle, but not of PyTorch; give the .pth file")
    protocol = _part(stream, path, "protocol version")
    if protocol != _PROTOCOL:
        raise InputError(f"{path}: PyTorch's format before 1.6 in another version; {RESAVE}")
    _part(stream, path, "system facts")
    start = stream.tell()
    named: dict[str, StorageId] = {}

    def note(identifier: object) -> Storage:
        """Where a storage lies depends on the sizes of those before it, not known yet."""
        wanted = storage_id(path, identifier)
        if wanted.n_bytes < 0 or named.setdefault(wanted.key, wanted) != wanted:
            raise ValueError(f"storage {shortened(wanted.key)!r} is described in two ways")
        return Storage(wanted.key, wanted.dtype, 0, wanted.n_bytes)

    read_pickle(stream, f"{path}: the object", Rules(CALLS, is_namespace, note))
    keys = _part(stream, path, "list of storages")
    table = StorageTable(path, _places(path, keys, named, stream.tell()).get)
    stream.seek(start)
    return read_pickle(stream, f"{path}: the object", Rules(CALLS, is_namespace, table.resolve))


def _part(stream: io.BytesIO, path: Path, what: str) -> object:
    return read_pickle(stream, f"{path}: the {what}", _PLAIN)


def _places(path: Path, keys: object, named: dict[str, StorageId], offset: int) -> dict[str, Entry]:
    """Where each storage's values lie. Raises InputError where the file holds others."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InputError(f"{path}: its list of storages is damaged; copy or download it again")
    size = path.stat().st_size
    places: dict[str, Entry] = {}
    with path.open("rb") as file:
        for key in keys:
            storage = named.get(key)
            if storage is None or key in places:
                state = "twice" if key in places else "that no tensor names"
                raise InputError(
                    f"{path}: lists the storage {shortened(key)!r} {state}; the file is damaged"
                )
            file.seek(offset)
            head = file.read(_COUNT.size)
            count = _COUNT.unpack(head)[0] if len(head) == _COUNT.size else -1
            n_bytes = count * storage.itemsize
            offset += _COUNT.size
            if n_bytes != storage.n_bytes or offset + n_bytes > size:
                raise InputError(
                    f"{path}: truncated or damaged: storage {shortened(key)!r} is not where its "
                    "list says; copy or download it again"
                )
            places[key] = Entry(offset, n_bytes)
            offset += n_bytes
    return places
