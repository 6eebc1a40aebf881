"""A checkpoint's tensors by name, and the ledger of where each of them went."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vampnet_models.errors import InputError

Fate = Literal["used", "folded", "unused", "unaccounted"]


class Tensors(Protocol):
    """Named tensors that are read on demand; nothing is kept in memory between reads."""

    def names(self) -> tuple[str, ...]:
        """All names, in the order in which the checkpoint stores them."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape. Raises InputError that names the tensor when it is missing."""
        ...

    def dtype(self, name: str) -> str:
        """The stored dtype, such as `float16`. Raises InputError when the tensor is missing."""
        ...

    def read(self, name: str) -> NDArray[np.float32]:
        """The values as float32, read anew each time. Raises InputError when missing."""
        ...


@dataclass(frozen=True)
class LedgerRow:
    """What became of one tensor of a checkpoint."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_parameters: int
    fate: Fate
    target: str
    """The initializers that hold it, or the reason why none does."""


class Ledger:
    """Tensors together with an account of each: used, folded, unused with a reason.

    A tensor may be used more than once (the codebooks serve four models): its targets are
    joined. A tensor that is used is no longer unused.
    """

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self._targets: dict[str, dict[str, None]] = {}
        self._folded: set[str] = set()
        self._reasons: dict[str, str] = {}
        self._read: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """All names, in the order in which the checkpoint stores them."""
        return self.tensors.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape. Raises InputError that names the tensor when it is missing."""
        return self.tensors.shape(name)

    def dtype(self, name: str) -> str:
        """The stored dtype. Raises InputError that names the tensor when it is missing."""
        return self.tensors.dtype(name)

    def read(self, name: str) -> NDArray[np.float32]:
        """The values as float32, read anew each time. Raises InputError when missing."""
        self._read.add(name)
        return self.tensors.read(name)

    def use(self, name: str, as_: str) -> None:
        """Record that the tensor is the initializer `as_`, value for value."""
        self.tensors.shape(name)
        self._targets.setdefault(name, {})[as_] = None

    def fold(self, name: str, into: str) -> None:
        """Record that the tensor is one factor of the initializer `into`."""
        self.use(name, into)
        self._folded.add(name)

    def leave(self, name: str, reason: str) -> None:
        """Record that nothing needs the tensor, and why."""
        self.tensors.shape(name)
        self._reasons[name] = reason

    def left(self) -> frozenset[str]:
        """The tensors that nothing needs: the graphs are built as if they were not there."""
        return frozenset(self._reasons)

    def rows(self) -> tuple[LedgerRow, ...]:
        """One row per tensor, in the checkpoint's order."""
        return tuple(self._row(name) for name in self.names())

    def unaccounted(self) -> tuple[str, ...]:
        """The tensors that nothing used and nobody gave a reason for."""
        return tuple(row.name for row in self.rows() if row.fate == "unaccounted")

    def unread(self) -> tuple[str, ...]:
        """The tensors that are said to be in a graph, but whose values were never asked for."""
        return tuple(name for name in self.names() if name in self._targets.keys() - self._read)

    def _row(self, name: str) -> LedgerRow:
        shape = self.shape(name)
        fate: Fate
        if name in self._targets:
            fate = "folded" if name in self._folded else "used"
            target = ", ".join(self._targets[name])
        elif name in self._reasons:
            fate, target = "unused", self._reasons[name]
        else:
            fate, target = "unaccounted", ""
        return LedgerRow(name, shape, self.dtype(name), math.prod(shape), fate, target)


def require_shape(tensors: Tensors, name: str, expected: Iterable[int]) -> None:
    """Raise InputError, naming the tensor and both shapes, unless it has this shape."""
    found, wanted = tensors.shape(name), tuple(expected)
    if found != wanted:
        raise InputError(
            f"{name}: has the shape {list(found)}, the constructor arguments give "
            f"{list(wanted)}; the checkpoint is damaged or of another architecture"
        )
