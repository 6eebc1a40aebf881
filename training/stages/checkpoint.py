"""Checkpoints: the original's file format for what ships, and resumable training state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save_original(
    path: Path, state: dict[str, Tensor], kwargs: dict[str, object], half: bool
) -> None:
    """Write `{'state_dict', 'metadata': {'kwargs'}}`, the tensors in float16 if `half`."""
    dtype = torch.float16 if half else torch.float32
    tensors = {name: value.detach().to(dtype).contiguous() for name, value in state.items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{path.name}: {name} is not finite in {dtype}; do not ship it")
    write(path, {"state_dict": tensors, "metadata": {"kwargs": kwargs}})


def load_original(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The float32 tensors and constructor arguments of a checkpoint in the original format."""
    content = torch.load(path, weights_only=True)
    state = {name: value.float() for name, value in content["state_dict"].items()}
    return state, content["metadata"]["kwargs"]


def write(path: Path, content: dict[str, Any]) -> None:
    """Save beside the target and rename, so that an interruption never leaves half a file."""
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)
