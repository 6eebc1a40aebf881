"""LoRA files beside the transformers that they were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import realpath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vampnet_models.checkpoints.checkpoint import Checkpoint
from vampnet_models.checkpoints.names import is_lora, layer_of
from vampnet_models.checkpoints.tensors import Tensors
from vampnet_models.errors import InputError


@dataclass(frozen=True)
class _Overlaid:
    """A checkpoint's tensors, some of them from another file (the `Tensors` protocol)."""

    base: Tensors
    over: Tensors

    def names(self) -> tuple[str, ...]:
        """The base's names in its order, then those that only the other file has."""
        return tuple(dict.fromkeys((*self.base.names(), *self.over.names())))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape, of the other file's tensor where it has one of that name."""
        return self._holder(name).shape(name)

    def dtype(self, name: str) -> str:
        """The stored dtype, likewise."""
        return self._holder(name).dtype(name)

    def read(self, name: str) -> NDArray[np.float32]:
        """The values as float32, likewise."""
        return self._holder(name).read(name)

    def _holder(self, name: str) -> Tensors:
        return self.over if name in self.over.names() else self.base


def with_lora(checkpoints: Sequence[Checkpoint], bases: Sequence[Path]) -> tuple[Checkpoint, ...]:
    """The checkpoints without LoRA files: each is laid over the base whose layers it changes.

    `bases` are the files that were named as bases. As the original does, a LoRA file replaces the
    LoRA of the base, layer by layer.

    Raises InputError when a LoRA file has no base, or fits none or several, when a base has none,
    and when the base's own LoRA is merged into its weights already.
    """
    named = {realpath(path) for path in bases}
    loras = [c for c in checkpoints if c.kind == "lora"]
    changed: dict[Path, Checkpoint] = {}
    for lora in loras:
        fitting = [c for c in checkpoints if realpath(c.path) in named and _fits(lora, c)]
        base = _only(lora, fitting, bool(named))
        if base.path in changed:
            raise InputError(f"{lora.path}: a second LoRA file for {base.path}; give one of them")
        changed[base.path] = _overlaid(base, lora)
    for path in bases:
        if realpath(path) not in {realpath(base) for base in changed}:
            raise InputError(f"{path}: is named as a base, and no LoRA file changes it; add one")
    return tuple(changed.get(c.path, c) for c in checkpoints if c.kind != "lora")


def _only(lora: Checkpoint, fitting: list[Checkpoint], has_bases: bool) -> Checkpoint:
    if len(fitting) == 1:
        return fitting[0]
    if not has_bases:
        raise InputError(
            f"{lora.path}: holds LoRA tensors alone; name the transformer that they change "
            "(`--base coarse.pth`)"
        )
    if not fitting:
        layers = dict.fromkeys(layer_of(name) for name in lora.tensors.names())
        raise InputError(
            f"{lora.path}: its LoRA fits no base: {len(layers)} layers such as "
            f"{next(iter(layers))}; give the transformer that it was trained on"
        )
    both = " and ".join(str(c.path) for c in fitting[:2])
    raise InputError(f"{lora.path}: its LoRA fits {both}; import them one by one")


def _fits(lora: Checkpoint, base: Checkpoint) -> bool:
    """Whether every layer that the LoRA file names is there, with its numbers of values."""
    shapes: dict[str, tuple[int, ...]] = {n: base.tensors.shape(n) for n in base.tensors.names()}
    for name in lora.tensors.names():
        weight, found = shapes.get(f"{layer_of(name)}.weight", ()), lora.tensors.shape(name)
        if len(weight) != 2 or len(found) != 2:
            return False
        if name.endswith("lora_A") and found[1] != weight[1]:
            return False
        if name.endswith("lora_B") and found[0] != weight[0]:
            return False
    return base.kind == "transformer"


def _overlaid(base: Checkpoint, lora: Checkpoint) -> Checkpoint:
    names = lora.tensors.names()
    if any(state.merged for state in base.lora.values()):
        raise InputError(
            f"{base.path}: its own LoRA is merged into its weights already, so {lora.path.name} "
            "cannot take its place; give the base as it was before"
        )
    replaced = sum(is_lora(name) and name in names for name in base.tensors.names())
    note = f"{lora.path.name}: {len(names)} LoRA tensors laid over {base.path.name}"
    if replaced:
        note += f", in place of {replaced} of its own"
    return replace(
        base,
        tensors=_Overlaid(base.tensors, lora.tensors),
        notes=(*base.notes, *lora.notes, note),
        other_files=(*base.other_files, lora.path),
    )
