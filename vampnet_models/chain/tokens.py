"""Masks, the unmasking schedule and the iterative sampler, on numpy arrays.

Arrays are int64 `[batch, codebooks, frames]`; a mask is 1 where a code is to be generated.
Source: Flores Garcia et al. 2023, "VampNet"; Chang et al. 2022, "MaskGIT" (schedule, confidence);
Meister et al. 2023, "Locally Typical Sampling" (the optional filter); Maddison et al. 2014,
"A* Sampling" (drawing by Gumbel noise). Each random number belongs to a place (see noise.py), so
that neither windows nor other tokens move it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampnet_models.chain.noise import MAX_SEED, Draw, remask_noise, token_noise
from vampnet_models.errors import InputError

Codes = NDArray[np.int64]
Logits = NDArray[np.float32]
Forward = Callable[[Codes, Codes], Logits]
"""(codes, mask) -> logits `[1, predicted, frames, vocab]` of the last `predicted` codebooks."""

_BLOCK = 1 << 15
"""Probabilities that are drawn from at once: they stay in the processor's cache."""


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
    places = np.indices((codes.shape[2], predicted)).reshape(2, -1)
    song_frames, codebooks = places[0] + first_frame, places[1] + first
    for step in range(options.steps):
        now = int(masked.sum())
        if now == 0:
            return
        ratio = now / masked[:, first:].size
        state = State(current.copy(), masked.copy(), step, options.steps, ratio)
        logits = forward(state.codes, state.mask)
        # One ranking over all codebooks, flattened frame by frame: [frames * predicted].
        flat_mask = masked[0, first:].T.reshape(-1).astype(bool)
        flat_logits = logits[0].transpose(1, 0, 2).reshape(-1, logits.shape[-1])
        draw = Draw(int(options.seed), stage, step)
        where = codebooks[flat_mask], song_frames[flat_mask]
        chosen, log_p = _choose(flat_logits[flat_mask], options, draw, *where)
        flat = current[0, first:].T.reshape(-1).copy()
        flat[flat_mask] = chosen
        ratio_done = (step + 1) / options.steps
        gumbel = -np.log(remask_noise(draw, *where))
        noise = gumbel * options.mask_temperature * (1 - ratio_done)
        confidence = np.full(flat.shape, np.inf)
        confidence[flat_mask] = log_p + noise
        again = np.argsort(confidence, kind="stable")[
            : remask_count(step, options.steps, at_start, now)
        ]
        flat_again = np.zeros(flat.shape, np.int64)
        flat_again[again] = 1
        current[0, first:] = flat.reshape(-1, predicted).T
        masked[0, first:] = flat_again.reshape(-1, predicted).T
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


def _choose(
    logits: Logits,
    options: SamplingOptions,
    draw: Draw,
    codebooks: NDArray[np.int64],
    frames: NDArray[np.int64],
) -> tuple[Codes, NDArray[np.float64]]:
    """A token for each of the logits `[n, vocab]`, and the logarithm of its probability."""
    n, vocab = logits.shape
    tokens, chances = np.empty(n, np.int64), np.empty(n)
    rows = max(1, _BLOCK // vocab)
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        p = probabilities(logits[part].astype(np.float32), options)
        # The first of exponential clocks with these rates: the largest log p plus Gumbel noise.
        clocks = p / token_noise(draw, codebooks[part], frames[part], vocab)
        tokens[part] = clocks.argmax(axis=-1)
        chances[part] = np.take_along_axis(p, tokens[part, None], axis=-1)[:, 0]
    return tokens, np.log(chances)


def probabilities(logits: NDArray[Any], options: SamplingOptions) -> NDArray[Any]:
    """What tokens are drawn by, `[rows, vocab]` and of the float type of the logits."""
    scaled = logits / max(options.temperature, 1e-6)
    exp = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    p: NDArray[Any] = exp / exp.sum(axis=-1, keepdims=True)
    return _typical(p, options.typical_mass) if options.typical_mass > 0 else p


def _typical(p: NDArray[Any], mass: float) -> NDArray[Any]:
    """Keep the tokens whose surprise is nearest to the entropy, up to `mass`; renormalise."""
    surprise = -np.log(np.maximum(p, np.finfo(p.dtype).tiny))
    entropy = (p * surprise).sum(axis=-1, keepdims=True)
    order = np.argsort(np.abs(surprise - entropy), axis=-1)
    before = np.cumsum(np.take_along_axis(p, order, -1), axis=-1)
    before -= np.take_along_axis(p, order, -1)
    keep = np.zeros(p.shape, bool)
    np.put_along_axis(keep, order, before < mass, -1)
    kept = np.where(keep, p, 0)
    return np.asarray(kept / kept.sum(axis=-1, keepdims=True))
