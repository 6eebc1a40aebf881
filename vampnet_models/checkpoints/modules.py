"""A pickled module tree, as inert records -> its tensors under the names that torch gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vampnet_models.checkpoints.names import is_lora
from vampnet_models.checkpoints.pickle_values import MAX_NAME_CHARACTERS, Record
from vampnet_models.checkpoints.stored_tensors import StoredTensor
from vampnet_models.errors import InputError

_MAX_DEPTH = 64
_MAX_VISITS = 1_000_000
"""Modules, tensors and names that are looked at: one record may stand at many places."""


@dataclass(frozen=True)
class Lora:
    """What a layer says of its LoRA: whether the weight holds it already, and its scale."""

    merged: bool
    scale: float | None


@dataclass
class ModuleTree:
    """What a module object holds."""

    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    lora: dict[str, Lora] = field(default_factory=dict)
    """By LoRA tensor: what its layer says."""


@dataclass
class _Budget:
    path: Path
    left: int = _MAX_VISITS

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _endless(self.path)


def read_modules(path: Path, root: Record) -> ModuleTree:
    """Walk the tree; buffers that are not persistent are left out.

    Raises InputError for a tree that contains itself or whose parts are repeated without end.
    """
    tree, budget = ModuleTree(), _Budget(path)
    pending: list[tuple[str, Record, int]] = [("", root, 0)]
    while pending:
        prefix, module, depth = pending.pop()
        if depth > _MAX_DEPTH or len(prefix) > MAX_NAME_CHARACTERS:
            raise _endless(path)
        attributes = module.attributes()
        passing = attributes.get("_non_persistent_buffers_set")
        passing = passing if isinstance(passing, list) else []
        budget.spend(1 + len(passing))
        left_out = {name for name in passing if isinstance(name, str)}
        for group in ("_parameters", "_buffers"):
            for name, tensor in _members(attributes, group, budget):
                if isinstance(tensor, StoredTensor) and name not in left_out:
                    tree.tensors[prefix + name] = tensor
                    if is_lora(name):
                        tree.lora[prefix + name] = _lora(attributes)
        children = [
            (f"{prefix}{name}.", child, depth + 1)
            for name, child in _members(attributes, "_modules", budget)
            if isinstance(child, Record)
        ]
        pending.extend(reversed(children))
    return tree


def _members(
    attributes: Mapping[object, object], group: str, budget: _Budget
) -> Iterator[tuple[str, object]]:
    members = attributes.get(group)
    if isinstance(members, dict):
        budget.spend(len(members))
        yield from ((name, value) for name, value in members.items() if isinstance(name, str))


def _lora(attributes: Mapping[object, object]) -> Lora:
    """loralib's attributes: `merged` once eval mode has added the product to the weight."""
    scale = attributes.get("scaling")
    is_number = isinstance(scale, int | float) and not isinstance(scale, bool)
    return Lora(attributes.get("merged") is True, float(str(scale)) if is_number else None)


def _endless(path: Path) -> InputError:
    return InputError(f"{path}: its modules are nested without end; refused")
