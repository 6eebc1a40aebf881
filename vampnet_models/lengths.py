"""Which lengths a model really takes: found by running it, not by reading its shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vampnet_models.artifact import Artifact
from vampnet_models.errors import InputError
from vampnet_models.session import Array, Feeds, open_session
from vampnet_models.spec import HOP_SAMPLES, Role, TensorSpec

PROBED_FRAMES = (1, 37, 100, 173, 301)
"""One frame, the two lengths of other exporters, and two odd ones."""

_TIME_ROLES = (Role.CODEC_ENCODER, Role.CODEC_DECODER, Role.COARSE, Role.C2F)


@dataclass(frozen=True)
class Lengths:
    """Frames that were tried, and those that the model answered."""

    tried: tuple[int, ...]
    accepted: tuple[int, ...]

    @property
    def is_dynamic(self) -> bool:
        """Whether every length that was tried is taken."""
        return self.tried == self.accepted

    def text(self) -> str:
        """In words, for tables."""
        if self.is_dynamic:
            return "any"
        return f"only {', '.join(map(str, self.accepted))}" if self.accepted else "none tried"


def probe_lengths(model: Artifact, frames: tuple[int, ...] = PROBED_FRAMES) -> Lengths | None:
    """Run the model at each length; None for models without a time axis that we know.

    A fixed length in the interface is tried too. Raises InputError when it cannot be opened.
    """
    if model.role not in _TIME_ROLES:
        return None
    session = open_session(model.path)
    fixed = model.spec.inputs[0].shape[-1]
    if isinstance(fixed, int):
        hop = HOP_SAMPLES if model.role is Role.CODEC_ENCODER else 1
        frames = tuple(sorted({*frames, fixed // hop}))
    accepted = []
    for n in frames:
        try:
            session.run(_feeds(model, n))
        except Exception:  # noqa: BLE001  the binding raises a different class per status code
            continue
        accepted.append(n)
    if not accepted:
        raise InputError(f"{model.path}: answers at none of the lengths {list(frames)}")
    return Lengths(frames, tuple(accepted))


def _feeds(model: Artifact, frames: int) -> Feeds:
    return {tensor.name: _values(tensor, model.role, frames) for tensor in model.spec.inputs}


def _values(tensor: TensorSpec, role: Role, frames: int) -> Array:
    length = frames * HOP_SAMPLES if role is Role.CODEC_ENCODER else frames
    shape = [d if isinstance(d, int) else 1 for d in tensor.shape[:-1]]
    if not tensor.shape:
        return np.ones((), tensor.dtype)
    value = 1 if tensor.name == "mask" else 0
    return np.full([*shape, length], value, tensor.dtype)
