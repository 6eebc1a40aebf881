"""One small feed for a model: given, of its role, or random by the declared types and shapes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.spec import ModelSpec, Role, TensorSpec, transformer_inputs

_FRAMES = 24
"""Of the last axis, where the model leaves it open: enough for every kernel to see its own."""

_SIZES = (16, 64, 256, 1024, 7680)
"""Tried in this order for open axes of other models."""

_INTEGERS_BELOW = (32, 2)
"""Tried in this order: small enough for look-ups, counts and sizes."""

_MOST_ELEMENTS = 1 << 22
"""Larger random inputs are not made."""


def small_ones(feeds: Sequence[Feeds], n: int) -> tuple[Feeds, ...]:
    """At most n of the given feeds that have the fewest elements, evenly spread, the first first.

    A recording begins with silence, and the states of a recurrent model with zeros: such a feed
    alone says little.
    """
    sizes = [sum(np.size(v) for v in each.values()) for each in feeds]
    small = [each for each, size in zip(feeds, sizes, strict=True) if size == min(sizes)]
    return tuple(small[i * len(small) // n] for i in range(n)) if len(small) > n else tuple(small)


def shortened(spec: ModelSpec, feed: Feeds) -> Feeds:
    """The middle second of a codec's feed: a wrong graph is wrong on it too, in less time.

    Feeds of other models, and of a fixed length, stay as they are.
    """
    if spec.role not in (Role.CODEC_ENCODER, Role.CODEC_DECODER):
        return feed
    if any(t.shape and isinstance(t.shape[-1], int) for t in spec.inputs):
        return feed
    family = spec.lengths_of
    frames = math.ceil(family.sample_rate_hz / family.hop_samples)
    unit = family.hop_samples if spec.role is Role.CODEC_ENCODER else 1
    skipped = (max(np.shape(values)[-1] for values in feed.values()) // unit - frames) // 2
    if skipped <= 0:
        return feed
    part = slice(skipped * unit, (skipped + frames) * unit)
    return {name: values[..., part] for name, values in feed.items()}


def drawn_feeds(spec: ModelSpec, seed: int = 0) -> Iterator[Feeds]:
    """Random feeds of growing size: the first that the model takes is the one to use.

    Floats are standard normal (a tenth of it for audio), integers small, codes below the size of a
    codebook, masks and booleans fair coins. Raises ValueError for a type that cannot be drawn.
    """
    rng = np.random.default_rng(seed)
    if spec.role is not Role.GENERIC:
        yield {t.name: _of_role(t, spec, rng) for t in spec.inputs}
        return
    for size, only_last, below in itertools.product(_SIZES, (False, True), _INTEGERS_BELOW):
        shapes = {t.name: _shape(t, size, 1 if only_last else size) for t in spec.inputs}
        if sum(math.prod(shape) for shape in shapes.values()) <= _MOST_ELEMENTS:
            yield {t.name: _draw(t, shapes[t.name], below, rng) for t in spec.inputs}


def _of_role(tensor: TensorSpec, spec: ModelSpec, rng: np.random.Generator) -> Array:
    family = spec.lengths_of
    hears = spec.role in (Role.CODEC_ENCODER, Role.BEATS)
    sizes = _shape(tensor, _FRAMES * ((spec.hop or family.hop_samples) if hears else 1), 1)
    pair = transformer_inputs(spec.inputs)
    is_mask = pair is not None and tensor.name == pair.mask.name
    values = _draw(tensor, sizes, 2 if is_mask else family.codebook_size, rng)
    if is_mask and tensor.dtype.startswith("float"):
        return (values > 0).astype(values.dtype)
    return 0.1 * values if tensor.dtype == "float32" and len(sizes) == 3 else values


def _shape(tensor: TensorSpec, last: int, others: int) -> tuple[int, ...]:
    """The declared shape; of its open axes the first is 1, the last `last`, others `others`."""
    sizes = [1, *[others] * (len(tensor.shape) - 2), last][-len(tensor.shape) :]
    pairs = zip(tensor.shape, sizes, strict=False)
    return tuple(d if isinstance(d, int) else size for d, size in pairs)


def _draw(
    tensor: TensorSpec, shape: tuple[int, ...], below: int, rng: np.random.Generator
) -> Array:
    dtype: Any = tensor.dtype
    if dtype.startswith("float"):
        return np.asarray(rng.standard_normal(shape)).astype(dtype)
    if dtype == "bool":
        # Of rank 0 a comparison gives a scalar, which the runtime does not take.
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.startswith(("int", "uint")):
        return np.asarray(rng.integers(0, min(below, np.iinfo(dtype).max), shape)).astype(dtype)
    raise ValueError(f"input {tensor.name} is {dtype}, of which nothing can be drawn")
