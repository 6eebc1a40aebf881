"""Seeded random tensors with the statistics of trained ones.

The shape of the distributions: gains of weight-normalised convolutions spread log-normally over
the channels, with a few of several times the median; a few channels of a transformer's norms are
outliers (Dettmers et al. 2022, "LLM.int8()"); projections into the residual stream shrink with
depth (Radford et al. 2019). Fixed by preset and seed, never tuned to a recipe.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from vampnet_models.architectures.parameter_shapes import Shapes
from vampnet_models.errors import InputError

_CHANNEL_SPREAD = 0.25
"""Standard deviation of the logarithm of a channel's gain."""

_OUTLIER_SHARE = 0.005
_OUTLIER_GAIN = 5.0

_Array = NDArray[np.float32]


class SeededTensors:
    """Tensors of the given shapes; each read draws the same values anew from seed and name."""

    def __init__(self, shapes: Shapes, seed: int, *, depth: int = 1) -> None:
        self._shapes = shapes
        self._seed = seed
        self._residual_gain = 1 / math.sqrt(2 * depth)
        self._replaced: dict[str, _Array] = {}

    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape. Raises InputError that names the tensor when it is missing."""
        if name not in self._shapes:
            raise InputError(f"{name}: not a tensor of this configuration")
        return self._shapes[name]

    def dtype(self, name: str) -> str:
        """Always float32."""
        self.shape(name)
        return "float32"

    def read(self, name: str) -> _Array:
        """The values, float32."""
        shape = self.shape(name)
        if name in self._replaced:
            return self._replaced[name].copy()
        key = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(key[:8], "little"))
        values = _draw(name, shape, rng, self._residual_gain)
        if name.endswith(".block.1.weight_g") and name.startswith("decoder.model."):
            # A transposed convolution spreads each row over `stride` output samples.
            kernel = self._shapes[name.removesuffix("g") + "v"][2]
            values *= np.float32(math.sqrt(kernel / 4))
        return values

    def replace(self, name: str, values: _Array) -> None:
        """Give a tensor other values than the drawn ones (codebooks taken from data)."""
        if values.shape != self.shape(name):
            raise ValueError(f"{name}: {values.shape} in place of {self.shape(name)}")
        self._replaced[name] = values.astype(np.float32)


def _draw(
    name: str, shape: tuple[int, ...], rng: np.random.Generator, residual_gain: float
) -> _Array:
    """One tensor by what its name says that it is."""
    if name.endswith("alpha"):
        return np.exp(rng.normal(-0.7, 0.4, shape)).astype(np.float32)
    if name.endswith("weight_g"):
        return (_conv_gain(name) * _spread(shape, rng)).astype(np.float32)
    if name.endswith("bias"):
        return (0.02 * rng.standard_normal(shape, np.float32)).astype(np.float32)
    if "norm" in name:
        return _spread(shape, rng)
    if "relative_attention_bias" in name:
        return rng.standard_normal(shape, np.float32)
    values = rng.standard_normal(shape, np.float32)
    if name.endswith(("weight_v", "codebook.weight", "special.MASK")):
        return values
    gain = residual_gain if name.endswith(("fc.weight", "w_2.weight")) else 1.0
    values *= np.float32(gain / math.sqrt(math.prod(shape[1:])))
    values *= _spread((shape[0], *(1 for _ in shape[1:])), rng, outliers=False)
    return values


def _spread(shape: tuple[int, ...], rng: np.random.Generator, *, outliers: bool = True) -> _Array:
    """Log-normal gains around 1 with a few outliers."""
    gains = np.exp(rng.normal(0.0, _CHANNEL_SPREAD, shape))
    if outliers:
        gains = np.where(rng.random(shape) < _OUTLIER_SHARE, gains * _OUTLIER_GAIN, gains)
    return gains.astype(np.float32)


def _conv_gain(name: str) -> float:
    """Gains that keep the signal's level through the stack.

    Rows of a normalised weight have length 1, so a gain of 1 keeps an uncorrelated signal's
    variance; the last convolution of a residual layer adds little, the classifier's logits vary
    by a few nats, and the last convolution of the decoder stays below the tanh's ceiling.
    """
    if name.startswith("classifier"):
        return 3.0
    if name.endswith(("block.3.weight_g", "layer.3.weight_g")):
        return 0.3
    if name.startswith("decoder.model.8"):
        return 0.2
    return 1.0
