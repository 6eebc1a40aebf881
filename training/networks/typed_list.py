"""A module list that knows what it holds; parameter names are those of `nn.ModuleList`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, cast

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class TypedList(nn.ModuleList, Generic[ModuleT]):
    """`nn.ModuleList` of one class of modules."""

    def __init__(self, modules: Iterable[ModuleT]) -> None:
        super().__init__(modules)

    def __iter__(self) -> Iterator[ModuleT]:
        return cast("Iterator[ModuleT]", super().__iter__())

    def __getitem__(self, index: int) -> ModuleT:  # type: ignore[override]
        return cast("ModuleT", super().__getitem__(index))
