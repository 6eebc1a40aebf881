"""Masks, the unmasking schedule and the iterative sampler, on numpy arrays.

Arrays are int64 `[batch, codebooks, frames]`; a mask is 1 where a code is to be generated.
Source: Flores Garcia et al. 2023, "VampNet"; Chang et al. 2022, "MaskGIT" (schedule, confidence);
Meister et al. 2023, "Locally Typical Sampling" (the optional filter). Each random number belongs to
a place (see noise.py), so that neither windows nor other tokens move it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from vampnet_models.chain.draw import draw_tokens
from vampnet_models.chain.noise import MAX_SEED, Draw, remask_noise
from vampnet_models.errors import InputError

Codes = NDArray[np.int64]
Logits = NDArray[np.float32]
Forward = Callable[[Codes, Codes], Logits]
"""(codes, mask) -> logits `[1, predicted, frames, vocab]` of the last `predicted` codebooks."""


@dataclass(frozen=True)
class SamplingOptions:
    """How tokens are sampled. `typical_mass` 0 switches typical filtering off.

    `seed`: 0 to 2^64 - 1; InputError is raised for any other.
    """

    steps: int = 12
    temperature: float = 1.0
    mask_temperature: float = 10.5
    typical_mass: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.seed, Integral) and 0 <= self.seed <= MAX_SEED):
            raise InputError(f"seed: {self.seed} is no whole number from 0 to {MAX_SEED}")


COARSE_SAMPLING = SamplingOptions(steps=12)
C2F_SAMPLING = SamplingOptions(steps=2)


@dataclass(frozen=True)
class State:
    """What a transformer sees at one step. `mask_ratio`: share of predicted positions masked."""

    codes: Codes
    mask: Codes
    step: int
    steps: int
    mask_ratio: float


def full_mask(shape: tuple[int, ...]) -> Codes:
    """Everything is generated."""
    return np.ones(shape, np.int64)


def inpainting_mask(shape: tuple[int, ...], prefix_frames: int, suffix_frames: int) -> Codes:
    """Keep that many frames at the start and at the end."""
    mask = full_mask(shape)
    mask[..., :prefix_frames] = 0
    if suffix_frames:
        mask[..., -suffix_frames:] = 0
    return mask


def periodic_mask(shape: tuple[int, ...], period: int, width: int = 1, roll: int = 0) -> Codes:
    """Keep every `period`-th frame, `width` frames wide, rolled by `roll`; 0 keeps none."""
    mask = full_mask(shape)
    if period == 0:
        return mask
    frames = np.arange(shape[-1])
    phase = (frames - roll + width // 2) % period
    mask[..., phase < min(width, period)] = 0
    return mask


def beat_mask(shape: tuple[int, ...], beats: Sequence[int], width: int = 1) -> Codes:
    """Keep the frames of `beats` and `width` frames on either side of each; no beat keeps none."""
    frames = np.arange(shape[-1])
    near = np.abs(frames[:, None] - np.array(beats, np.int64)[None]) <= width
    mask = full_mask(shape)
    mask[..., near.any(axis=1)] = 0
    return mask


def with_upper_codebooks(mask: Codes, first_generated: int) -> Codes:
    """Generate every codebook from `first_generated` on, whatever else is kept."""
    out = mask.copy()
    out[:, first_generated:, :] = 1
    return out


def remask_count(step: int, steps: int, masked_at_start: int, masked_now: int) -> int:
    """How many positions are masked again after 0-based `step` of `steps` (cosine schedule)."""
    if step == steps - 1:
        return 0
    share = max(math.cos(math.pi / 2 * (step + 1) / steps), 1e-10)
    return max(1, min(masked_now - 1, math.floor(share * masked_at_start)))


def sample(
    forward: Forward,
    codes: Codes,
    mask: Codes,
    predicted: int,
    options: SamplingOptions,
    first_frame: int = 0,
) -> Iterator[tuple[State, Codes]]:
    """Yield at each step the state that `forward` saw and the codes after it.

    `codes` and `mask` are `[1, n, frames]`, a window of a song that begins at `first_frame`; the
    last `predicted` codebooks are generated where `mask` is 1. The codes of the last step are
    complete. Nothing is yielded for an empty mask. Random numbers are fixed by the seed, the step
    and the place in the song.
    """
    first = codes.shape[1] - predicted
    current, masked = codes.copy(), mask.copy()
    masked[:, :first] = 0
    at_start = int(masked.sum())
    if at_start == 0:
        return
    stage = 0 if first == 0 else 1
    for step in range(options.steps):
        # One ranking over all codebooks, frame by frame.
        frames, books = np.nonzero(masked[0, first:].T)
        now = len(frames)
        if now == 0:
            return
        ratio = now / masked[:, first:].size
        state = State(current.copy(), masked.copy(), step, options.steps, ratio)
        logits = forward(state.codes, state.mask)[0]
        draw, places = Draw(int(options.seed), stage, step), (books + first, frames + first_frame)
        chosen, log_p = draw_tokens(
            logits, (books, frames), draw, places, options.temperature, options.typical_mass
        )
        gumbel = -np.log(remask_noise(draw, *places))
        confidence = log_p + gumbel * options.mask_temperature * (1 - (step + 1) / options.steps)
        again = np.argsort(confidence, kind="stable")[
            : remask_count(step, options.steps, at_start, now)
        ]
        current[0, first + books, frames] = chosen
        masked[0, first:] = 0
        masked[0, first + books[again], frames[again]] = 1
        yield state, current.copy()


def sample_all(
    forward: Forward,
    codes: Codes,
    mask: Codes,
    predicted: int,
    options: SamplingOptions,
    first_frame: int = 0,
) -> tuple[Codes, tuple[State, ...]]:
    """The complete codes and every state on the way (no state when nothing is masked)."""
    final, states = codes, []
    for state, after in sample(forward, codes, mask, predicted, options, first_frame):
        final = after
        states.append(state)
    return final, tuple(states)
