"""A module list that knows what it holds; parameter names are those of `nn.ModuleList`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, cast

from torch import nn

_ModuleT = TypeVar("_ModuleT", bound=nn.Module)


class TypedList(nn.ModuleList, Generic[_ModuleT]):
    """`nn.ModuleList` of one class of modules."""

    def __init__(self, modules: Iterable[_ModuleT]) -> None:
        super().__init__(modules)

    def __iter__(self) -> Iterator[_ModuleT]:
        return cast("Iterator[_ModuleT]", super().__iter__())

    def __getitem__(self, index: int) -> _ModuleT:  # type: ignore[override]
        return cast("_ModuleT", super().__getitem__(index))
