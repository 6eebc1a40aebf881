"""Tensor names without the wrappers that a model was in when it was saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from vampnet_models.checkpoints.zip_entries import shortened
from vampnet_models.errors import InputError

_Value = TypeVar("_Value")

_WRAPPERS = frozenset(
    ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
)
"""What DataParallel and its kin, torch.compile, FSDP and activation checkpointing put into names.

No layer of the served architectures has such a name.
"""

_LORA_PARTS = ("lora_A", "lora_B")


def unwrapped(
    path: Path, values: Mapping[str, _Value]
) -> tuple[dict[str, _Value], tuple[str, ...]]:
    """The values under the names of the bare model, and the wrappers that were taken off.

    Raises InputError when two names become one.
    """
    found: dict[str, _Value] = {}
    removed: dict[str, None] = {}
    for name, value in values.items():
        *parts, leaf = name.split(".")
        bare = ".".join([*(part for part in parts if part not in _WRAPPERS), leaf])
        removed |= dict.fromkeys(part for part in parts if part in _WRAPPERS)
        if bare in found:
            raise InputError(
                f"{path}: {shortened(name)} and another tensor are both {shortened(bare)} without "
                "their wrappers; save the bare model's state_dict"
            )
        found[bare] = value
    return found, tuple(removed)


def is_lora(name: str) -> bool:
    """Whether it is a factor of a LoRA product."""
    return name.rpartition(".")[2] in _LORA_PARTS


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to."""
    return name.rpartition(".")[0]


def only_lora(names: Iterable[str]) -> bool:
    """Whether these are LoRA tensors alone, which need the model that they change."""
    listed = list(names)
    return bool(listed) and all(is_lora(name) for name in listed)
