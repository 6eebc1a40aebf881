"""Arrays by name in an .npz file: nothing in it is unpickled or believed about its size."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import numpy as np

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import beside
from vampnet_models.onnxfile.session import Array

_SUFFIX = ".npy"

_Value = TypeVar("_Value")

_MOST_UNPACKED_BYTES = 4 * 1024**3
"""What compressed arrays may take together: a few bytes of zeros could fill any memory."""

_MAPPED_FROM_BYTES = 16 * 1024**2
"""Arrays from here on stay in the file until they are used: a set of feeds may exceed memory."""

# Of a member's own header: signature to sizes, then the lengths of its name and of its extra field.
_LOCAL_HEADER = struct.Struct("<26xHH")

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What an array will be, known before it is read: its shape and type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def npz_headers(path: Path) -> dict[str, Header]:
    """Shapes and types of all arrays by name; none of them is read.

    Raises InputError: no such file, no .npz file, an array of objects, one that holds another
    number of bytes than its header says, or compressed ones that would fill the memory.
    """
    with _opened(path) as archive:
        return dict(_checked(path, archive))


def read_npz(path: Path) -> dict[str, Array]:
    """All arrays of the file by name; large ones that are not compressed are mapped, read-only.

    Raises InputError as `npz_headers` does.
    """
    with _opened(path) as archive:
        found = {}
        for name in dict(_checked(path, archive)):
            info = archive.getinfo(name + _SUFFIX)
            if info.compress_type == zipfile.ZIP_STORED and info.file_size >= _MAPPED_FROM_BYTES:
                found[name] = _mapped(path, info)
            else:
                with archive.open(info) as stream:
                    found[name] = np.lib.format.read_array(stream, allow_pickle=False)
        return found


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by key, atomically. Raises InputError when the file cannot be written.

    The runtime gives strings as objects, which only a pickle could hold: they are written as text.
    """
    with beside(path) as staged, zipfile.ZipFile(staged, "w") as archive:
        # Not by numpy.savez, whose own arguments' names no array may have.
        for name, values in arrays.items():
            plain = values.astype(str) if values.dtype.kind == "O" else np.asanyarray(values)
            with archive.open(name + _SUFFIX, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, plain, allow_pickle=False)


def numbered(
    where: Path | str, arrays: Mapping[str, _Value], names: Collection[str] = ()
) -> tuple[dict[str, _Value], ...]:
    """What stands under `NAME/0`, `NAME/1`, ... as one mapping from names for each number.

    Under a `NAME` alone, or one of `names`, stands what belongs to the first. Raises InputError
    where nothing is there, or where a number is left out.
    """
    feeds: dict[int, dict[str, _Value]] = {}
    for key, array in arrays.items():
        name, slash, number = key.rpartition("/")
        counted = bool(slash) and number.isdecimal() and key not in names
        feeds.setdefault(int(number) if counted else 0, {})[name if counted else key] = array
    if not feeds:
        raise InputError(f"{where}: holds no arrays; give inputs under their names")
    if sorted(feeds) != list(range(len(feeds))):
        raise InputError(
            f"{where}: samples are numbered with gaps; number them NAME/0, NAME/1, ..."
        )
    return tuple(feeds[i] for i in range(len(feeds)))


def _mapped(path: Path, info: zipfile.ZipInfo) -> Array:
    """The array of a member that is stored as it is, where it lies in the file."""
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        n_name, n_extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        at = info.header_offset + _LOCAL_HEADER.size + n_name + n_extra
        stream.seek(at)
        version = np.lib.format.read_magic(stream)
        shape, is_fortran, dtype = _HEADERS[version](stream)
        order: Literal["F", "C"] = "F" if is_fortran else "C"
        return np.asarray(np.memmap(path, dtype, "r", stream.tell(), shape, order))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever zipfile and numpy raise over it is one line for the user."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give an .npz file of arrays")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    except Exception as error:
        # zipfile, zlib and numpy each raise their own.
        raise InputError(
            f"{path}: not an .npz file of plain arrays; write it with numpy.savez"
        ) from error


def _checked(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, Header]]:
    seen: set[str] = set()
    unpacked_bytes = 0
    for info in archive.infolist():
        name = info.filename.removesuffix(_SUFFIX)
        if name in seen:
            raise InputError(f"{path}: holds {name} twice; write it again with numpy.savez")
        seen.add(name)
        if info.compress_type != zipfile.ZIP_STORED:
            unpacked_bytes += info.file_size
        if unpacked_bytes > _MOST_UNPACKED_BYTES:
            raise InputError(
                f"{path}: unpacks to more than {_MOST_UNPACKED_BYTES / 1e9:.0f} GB; write it with "
                "numpy.savez, which does not compress"
            )
        with archive.open(info) as stream:
            header, start = _header_of(stream)
        if header.dtype.hasobject:
            raise InputError(
                f"{path}: {name} holds objects, which are not read; write plain arrays"
            )
        n_bytes = math.prod(header.shape) * header.dtype.itemsize
        if n_bytes != info.file_size - start:
            raise InputError(
                f"{path}: {name} holds {info.file_size - start} bytes, and its header says "
                f"{n_bytes}; write it again"
            )
        yield name, header


def _header_of(stream: IO[bytes]) -> tuple[Header, int]:
    """The header of an array, and where its bytes begin. Raises ValueError or KeyError."""
    version = np.lib.format.read_magic(stream)
    shape, _, dtype = _HEADERS[version](stream)
    return Header(shape, dtype), stream.tell()
