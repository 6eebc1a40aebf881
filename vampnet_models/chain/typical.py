"""The input shapes that a model's arithmetic is weighed at."""

from __future__ import annotations

from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ as BEAT_RATE_HZ
from vampnet_models.family import VAMPNET
from vampnet_models.repair.baked import WINDOWS
from vampnet_models.shapes.tensor_shapes import Shape
from vampnet_models.spec import ModelSpec, Role

_CODEC_FRAMES = 288
"""5 s of audio."""

_UNKNOWN_SIZE = 64
"""Stands in for an axis of a generic model whose size nobody gave."""

_LENGTHS = {
    Role.CODEC_ENCODER: _CODEC_FRAMES * VAMPNET.hop_samples,
    Role.CODEC_DECODER: _CODEC_FRAMES,
    **WINDOWS,
    Role.BEATS: _CODEC_FRAMES * VAMPNET.hop_samples * BEAT_RATE_HZ // VAMPNET.sample_rate_hz,
}


def typical_shapes(spec: ModelSpec) -> dict[str, Shape]:
    """A shape per input: batch 1, the last axis of the role's usual length, fixed axes as they are.

    Axes of a generic model without a size get `_UNKNOWN_SIZE`.
    """
    length = _LENGTHS.get(spec.role, _UNKNOWN_SIZE)
    found = {}
    for tensor in spec.inputs:
        sizes = [1, *[_UNKNOWN_SIZE] * (len(tensor.shape) - 2), length][-len(tensor.shape) :]
        pairs = zip(tensor.shape, sizes, strict=False)
        found[tensor.name] = tuple(d if isinstance(d, int) else size for d, size in pairs)
    return found
