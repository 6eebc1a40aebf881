"""The zip around a PyTorch checkpoint: where each entry lies, and nothing that is not plain."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vampnet_models.errors import InputError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""A zip's local file header: signature, and the lengths of the name and the extra field."""

_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
"""How a pickle begins that names its protocol."""

_MAX_ENTRIES = 100_000
_MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
"""Of a zip's directory: more than `_MAX_ENTRIES` of PyTorch's names take."""

_ENCRYPTED_FLAG = 0x1

RESAVE = "load it where torch is installed and torch.save its state_dict anew"


@dataclass(frozen=True)
class Entry:
    """An uncompressed entry: its bytes stand in the file as they are, from `offset` on."""

    offset: int
    n_bytes: int


@dataclass(frozen=True)
class Archive:
    """A checkpoint's zip; `entries` are named without the root folder that all names share."""

    path: Path
    entries: dict[str, Entry]

    def read(self, name: str, limit_bytes: int) -> bytes:
        """An entry's bytes. Raises InputError when it is absent or larger than the limit."""
        if name not in self.entries:
            raise InputError(f"{self.path}: holds no {name}; not a PyTorch checkpoint")
        entry = self.entries[name]
        if entry.n_bytes > limit_bytes:
            raise InputError(
                f"{self.path}: {name} has {entry.n_bytes} bytes, more than the {limit_bytes} "
                "that a checkpoint needs; refused"
            )
        with self.path.open("rb") as stream:
            stream.seek(entry.offset)
            return stream.read(entry.n_bytes)


def open_archive(path: Path) -> Archive:
    """Read the directory of a checkpoint's zip; no entry is read.

    Raises InputError for other formats, a truncated file, compressed, encrypted, overlapping
    or repeated entries, and names that leave the archive's folder.
    """
    if not is_zip(path):
        raise InputError(f"{path}: a pickle, not a zip; {RESAVE}")
    try:
        with path.open("rb") as raw, zipfile.ZipFile(_Bounded(raw)) as archive:
            infos = archive.infolist()
    except (
        zipfile.BadZipFile,
        EOFError,
        IndexError,
        NotImplementedError,
        OSError,
        UnicodeDecodeError,
        ValueError,
        struct.error,
    ) as error:
        raise InputError(
            f"{path}: truncated or damaged: its zip directory cannot be read ({error}); "
            "copy or download it again"
        ) from error
    if len(infos) > _MAX_ENTRIES:
        raise InputError(f"{path}: has {len(infos)} entries, more than {_MAX_ENTRIES}; refused")
    for info in infos:
        _require_plain(path, info)
    files = [info for info in infos if not info.is_dir()]
    roots = {info.filename.split("/", 1)[0] for info in files}
    if len(roots) != 1 or not all("/" in info.filename for info in files):
        raise InputError(f"{path}: a zip, but not of one PyTorch checkpoint; {RESAVE}")
    entries: dict[str, Entry] = {}
    for info, entry in zip(files, _locate(path, files), strict=True):
        name = info.filename.split("/", 1)[1]
        if name in entries:
            raise InputError(f"{path}: holds {shortened(info.filename)!r} twice; refused")
        entries[name] = entry
    return Archive(path=path, entries=entries)


class _Bounded:
    """A stream of which no read is larger than a directory may be: `zipfile` trusts the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self._stream = stream

    def read(self, n_bytes: int = -1) -> bytes:
        if n_bytes > _MAX_DIRECTORY_BYTES:
            raise ValueError(f"it names a directory of {n_bytes} bytes")
        return self._stream.read(n_bytes if n_bytes >= 0 else _MAX_DIRECTORY_BYTES)


def is_zip(path: Path) -> bool:
    """Whether it is a zip; not if it is a pickle alone, as PyTorch wrote before 1.6.

    Raises InputError that says which other format it is.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; give a checkpoint file")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a checkpoint (.pth)")
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not start:
        raise InputError(f"{path}: the file is empty; copy or download it again")
    if start.startswith(b"PK\x03\x04"):
        return True
    if start[:2] in _PICKLES:
        return False
    if start[257:262] == b"ustar":
        raise InputError(f"{path}: a checkpoint in PyTorch's format of before 0.1.10; {RESAVE}")
    if start.startswith(b"\x89HDF"):
        raise InputError(f"{path}: an HDF5 file, not a PyTorch checkpoint; give the .pth file")
    if path.suffix == ".onnx":
        raise InputError(f"{path}: an ONNX model, not a checkpoint; it needs no import")
    raise InputError(f"{path}: not a PyTorch checkpoint (no zip); give the .pth file")


def shortened(name: str) -> str:
    """A name from a file, for a message."""
    return name if len(name) <= 80 else f"{name[:77]}..."


def _require_plain(path: Path, info: zipfile.ZipInfo) -> None:
    name = info.filename
    if not name:
        raise InputError(f"{path}: an entry has no name; copy or download it again")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0] or "\0" in name:
        raise InputError(
            f"{path}: the entry {shortened(name)!r} leaves the archive's folder; refused"
        )
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise InputError(f"{path}: the entry {shortened(name)!r} is encrypted; refused")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise InputError(
            f"{path}: the entry {shortened(name)!r} is compressed ({info.compress_size} bytes for "
            f"{info.file_size}), which PyTorch never does; refused, {RESAVE}"
        )


def _locate(path: Path, infos: list[zipfile.ZipInfo]) -> list[Entry]:
    """Where each entry's bytes begin; entries must lie inside the file, one after the other."""
    size = path.stat().st_size
    entries = []
    with path.open("rb") as stream:
        for info in infos:
            stream.seek(max(info.header_offset, 0))
            header = stream.read(_LOCAL_HEADER.size) if info.header_offset >= 0 else b""
            if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
                raise InputError(
                    f"{path}: damaged: the entry {shortened(info.filename)!r} is not where the "
                    "directory says; copy or download it again"
                )
            _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
            offset = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
            if offset + info.file_size > size:
                raise InputError(
                    f"{path}: truncated: the entry {shortened(info.filename)!r} ends behind the "
                    "file's end; copy or download it again"
                )
            entries.append(Entry(offset=offset, n_bytes=info.file_size))
    end = 0
    for info, entry in sorted(
        zip(infos, entries, strict=True), key=lambda pair: pair[0].header_offset
    ):
        if info.header_offset < end:
            raise InputError(
                f"{path}: the entry {shortened(info.filename)!r} overlaps another; refused"
            )
        end = entry.offset + entry.n_bytes
    return entries
