"""The input shapes that a model's arithmetic is weighed at."""

from __future__ import annotations

from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ as BEAT_RATE_HZ
from vampnet_models.shapes.tensor_shapes import Shape
from vampnet_models.spec import ModelSpec, Role

_CODEC_S = 5
_UNKNOWN_SIZE = 64
"""Stands in for an axis of a generic model whose size nobody gave."""


def typical_shapes(spec: ModelSpec) -> dict[str, Shape]:
    """A shape per input: batch 1, the last axis of the role's usual length, fixed axes as they are.

    Axes of a generic model without a size get `_UNKNOWN_SIZE`.
    """
    length = _length(spec)
    found = {}
    for tensor in spec.inputs:
        sizes = [1, *[_UNKNOWN_SIZE] * (len(tensor.shape) - 2), length][-len(tensor.shape) :]
        pairs = zip(tensor.shape, sizes, strict=False)
        found[tensor.name] = tuple(d if isinstance(d, int) else size for d, size in pairs)
    return found


def _length(spec: ModelSpec) -> int:
    """Of a model that plays: 5 s, in whole frames; of a transformer its window."""
    family = spec.lengths_of
    frames = -(-_CODEC_S * family.sample_rate_hz // family.hop_samples)
    if spec.role is Role.BEATS:
        return frames * family.hop_samples * BEAT_RATE_HZ // family.sample_rate_hz
    if spec.role is Role.CODEC_ENCODER:
        return frames * family.hop_samples
    return frames if spec.role is Role.CODEC_DECODER else spec.window_frames or _UNKNOWN_SIZE
