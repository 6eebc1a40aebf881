"""Integers that wait on disk until the variant is written: memory holds one matrix at a time."""

from __future__ import annotations

import os
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int8]


class Shelf:
    """A file without a name in `folder` (None: where temporary files are), gone with its last user.

    Raises OSError when the folder cannot be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._descriptor, name = tempfile.mkstemp(dir=folder)
        weakref.finalize(self, os.close, self._descriptor)
        Path(name).unlink()
        self._end = 0

    def put(self, integers: Integers) -> Shelved:
        """Write a matrix `[rows, columns]`. Raises OSError when the disk is full."""
        rows, columns = integers.shape
        shelved = Shelved(self, self._end, (rows, columns))
        left = memoryview(integers.tobytes())
        while left:
            n_bytes = os.pwrite(self._descriptor, left, self._end)
            self._end, left = self._end + n_bytes, left[n_bytes:]
        return shelved

    def read(self, n_bytes: int, start: int) -> bytes:
        """Bytes from the file; several threads may read at once."""
        return os.pread(self._descriptor, n_bytes, start)


@dataclass(frozen=True)
class Shelved:
    """A matrix `[rows, columns]` of int8 on a shelf."""

    shelf: Shelf
    start: int
    shape: tuple[int, int]

    def read(self) -> Integers:
        """All of it."""
        rows, columns = self.shape
        data = self.shelf.read(rows * columns, self.start)
        return np.frombuffer(data, np.int8).reshape(rows, columns)
