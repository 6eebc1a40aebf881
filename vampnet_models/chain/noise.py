"""The sampler's random numbers: each is a function of its place, not of what was drawn before.

A counter-based generator gives them, Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers:
As Easy as 1, 2, 3"), which needs only 32-bit words: the same on any machine, in any language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Noise = NDArray[np.float64]
Bounds = NDArray[np.float32]

MAX_SEED = 2**64 - 1
"""The generator's key has 64 bits: every seed up to this one has numbers of its own."""

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
_STAGE_BIT, _REMASK_BIT = 24, 31


@dataclass(frozen=True)
class Draw:
    """What is drawn at one step of sampling a song.

    seed: 0 to `MAX_SEED`.
    stage: 0 where all codebooks are generated (coarse), 1 where the first are given (c2f).
    step: from 0, below 2^24.
    """

    seed: int
    stage: int
    step: int


def token_noise(
    draw: Draw,
    codebooks: NDArray[np.int64],
    frames: NDArray[np.int64],
    tokens: NDArray[np.int64],
) -> Noise:
    """Exponential noise of tokens, each at its codebook and frame of the song; arrays broadcast.

    Token t takes word t % 4 of the counter (t // 4, frame, codebook, stage and step).
    """
    words = philox((tokens >> 2, frames, codebooks, _place(draw)), draw.seed)
    own = np.broadcast_to(tokens & 3, words.shape[:-1])
    return exponential(np.take_along_axis(words, own[..., None], axis=-1)[..., 0])


def least_token_noise(
    draw: Draw, codebooks: NDArray[np.int64], frames: NDArray[np.int64], n_tokens: int
) -> Bounds:
    """What the noise of each token is at least, `[n, n_tokens]`, of `n` positions.

    1 - u, which is no more than -log(u) and costs no logarithm; in 32-bit floats, so that it may be
    larger by 2^-22 of itself.
    """
    fourth = np.arange(-(-n_tokens // 4))
    words = philox((fourth, frames[:, None], codebooks[:, None], _place(draw)), draw.seed)
    bounds = (~words.reshape(len(frames), -1)[:, :n_tokens]).astype(np.float32)
    bounds += np.float32(0.5)
    bounds *= np.float32(2.0**-32)
    return bounds


def remask_noise(draw: Draw, codebooks: NDArray[np.int64], frames: NDArray[np.int64]) -> Noise:
    """Exponential noise `[n]` for ranking `n` positions, independent of that of their tokens."""
    place = 1 << _REMASK_BIT | _place(draw)
    return exponential(philox((0, frames, codebooks, place), draw.seed)[:, 0])


def _place(draw: Draw) -> int:
    return draw.stage << _STAGE_BIT | draw.step


def philox(counter: Sequence[NDArray[Any] | int], key: int) -> Words:
    """Philox4x32-10: four random words `[..., 4]` of the four words of each counter.

    The words of the counter are whole numbers below 2^32, broadcast together; `key` has 64 bits.
    """
    state: list[NDArray[Any]] = [np.asarray(word, np.uint64) for word in counter]
    a, b, c, d = state
    low, high = key & _LOW, key >> 32
    for _ in range(_ROUNDS):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        # In place where the shape is known to stay: memory at hand is half of the time.
        a, c = (second >> 32) ^ b, (first >> 32) ^ d
        a ^= low
        c ^= high
        second &= _LOW
        first &= _LOW
        b, d = second, first
        low, high = (low + _KEY_STEPS[0]) & _LOW, (high + _KEY_STEPS[1]) & _LOW
    return np.stack((a, b, c, d), axis=-1, dtype=np.uint32, casting="unsafe")


def exponential(words: Words) -> Noise:
    """-log(u) of u = (word + 1/2) / 2^32, which is never 0 or 1."""
    uniform: NDArray[Any] = (words + 0.5) * 2.0**-32
    return np.asarray(-np.log(uniform))
