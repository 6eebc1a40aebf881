"""The masked token states that a transformer meets: prompts, and steps of its own sampling."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.feeds.feedset import FeedLabel
from vampnet_models.chain.pipeline import generate_coarse, generate_fine, joined
from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    Codes,
    Forward,
    SamplingOptions,
    State,
    full_mask,
    inpainting_mask,
    periodic_mask,
    remask_count,
    sample,
    with_upper_codebooks,
)
from vampnet_models.onnxfile.session import Session
from vampnet_models.progress import Progress
from vampnet_models.repair.layouts import session_spec
from vampnet_models.spec import n_coarse_of

PROMPTS = ("everything", "periodic", "inpainting", "upper-codebooks")
"""What a trajectory is given to start from, by what is to be generated or kept."""

COARSE_STEPS = (12,)
C2F_STEPS = (2, 8)
"""Trajectories take turns: c2f is used with 2 steps, and longer ones reach lower mask ratios."""


@dataclass(frozen=True)
class _StateFeed:
    """One state, `codes` and `mask` int64 `[1, n, frames]`, with its label."""

    codes: Codes
    mask: Codes
    label: FeedLabel


@dataclass(frozen=True)
class Trajectories:
    """How states are drawn.

    `window` is the most frames of a state, `window_shares` what shares of it, or of a shorter
    clip, trajectories take in turn; with `pad` shorter codes are filled up with code 0
    and mask 1. `predicted` counts the codebooks that the model generates. `forward` is the
    reference model, None where it gives no logits; `coarse` the model whose output half of the
    c2f states are conditioned on, where there is one. Each trajectory gives `states` of its steps,
    evenly spaced: neighbouring ones differ in few tokens.
    """

    predicted: int
    window: int
    pad: bool
    steps: tuple[int, ...]
    forward: Forward | None
    coarse: Session | None = None
    seed: int = 0
    window_shares: tuple[float, ...] = (1.0,)
    states: int = 4


def draw_states(
    sources: Sequence[tuple[str, Codes]],
    n_states: int,
    how: Trajectories,
    progress: Progress | None = None,
) -> list[_StateFeed]:
    """`n_states` states from the codes of clips `(name, [1, n, frames])`.

    Each trajectory takes the next clip, prompt and number of steps, runs the reference's own
    sampling and gives up to `how.states` states, spread over its steps; every fourth trajectory
    ends with a state of one masked frame. Fixed by the codes and `how.seed` alone.
    """
    found: list[_StateFeed] = []
    number = 0
    while len(found) < n_states:
        # Shifted after each round, so that a clip meets every prompt.
        turn = number + number // math.lcm(len(sources), len(PROMPTS))
        name, codes = sources[turn % len(sources)]
        prompt = PROMPTS[number % len(PROMPTS)]
        for feed in _trajectory(name, codes, prompt, number, how):
            found.append(feed)
            if progress is not None:
                progress(min(len(found), n_states), n_states)
        number += 1
    return found[:n_states]


def generated_codes(
    coarse: Session, c2f: Session, codes: Codes, number: int, seed: int
) -> tuple[Codes, str]:
    """What the chain makes of a clip's codes `[1, n, frames]`, of at most a window of c2f.

    The prompt, whose name is returned too, is the `number`-th in turn.
    """
    rng = np.random.default_rng([seed, number])
    prompt = PROMPTS[number % len(PROMPTS)]
    window = codes[:, :, : session_spec(c2f).lengths_of.c2f_window_frames]
    mask = prompt_mask(prompt, window.shape, 0, rng)
    given = slice(0, n_coarse_of(session_spec(coarse)))
    options = SamplingOptions(seed=int(rng.integers(1 << 31)))
    whole = window.copy()
    whole[:, given] = generate_coarse(coarse, window[:, given], mask[:, given], options)
    # A frame whose coarse codes were generated anew has no fine codes to keep.
    fine = np.maximum(mask, mask[:, given].max(axis=1, keepdims=True))
    return generate_fine(c2f, whole, fine, replace(C2F_SAMPLING, seed=options.seed)), prompt


def prompt_mask(kind: str, shape: tuple[int, ...], first: int, rng: np.random.Generator) -> Codes:
    """The starting mask `[1, n, frames]` of a prompt; codebooks below `first` are given anyway.

    A prompt that would keep everything becomes `everything`.
    """
    frames = shape[-1]
    # The sampler of the application generates every codebook from the fourth on, of those that
    # the model predicts.
    upper = first + 3
    if kind == "periodic":
        period = int(rng.integers(2, 14))
        width = int(rng.integers(1, max(2, period // 2)))
        mask = periodic_mask(shape, period, width, int(rng.integers(0, period)))
        mask = joined(with_upper_codebooks(mask, upper))
    elif kind == "inpainting":
        kept = rng.integers(frames // 10, max(frames // 10 + 1, 2 * frames // 5), 2)
        mask = joined(inpainting_mask(shape, int(kept[0]), int(kept[1])))
    elif kind == "upper-codebooks":
        lowest = first + int(rng.integers(1, max(2, shape[1] - first)))
        mask = joined(with_upper_codebooks(np.zeros(shape, np.int64), lowest))
    else:
        mask = full_mask(shape)
    return mask if mask[:, first:].any() else full_mask(shape)


def _trajectory(
    name: str, codes: Codes, prompt: str, number: int, how: Trajectories
) -> Iterator[_StateFeed]:
    key = hashlib.sha256(f"{how.seed}/{number}/".encode() + codes.tobytes()).digest()
    rng = np.random.default_rng(int.from_bytes(key[:8], "little"))
    # Another share for each round of prompts, shifted so that every prompt meets every share.
    turn = number + number // len(PROMPTS)
    share = how.window_shares[turn % len(how.window_shares)]
    frames = max(1, round(min(codes.shape[2], how.window) * share))
    start = int(rng.integers(0, codes.shape[2] - frames + 1))
    window = codes[:, :, start : start + frames]
    mask = prompt_mask(prompt, window.shape, codes.shape[1] - how.predicted, rng)
    origin = "encoder"
    # Prompts alternate between the two origins; every second round the other way about.
    if how.coarse is not None and (number + number // (2 * len(PROMPTS))) % 2:
        n_given = codes.shape[1] - how.predicted
        given = window[:, :n_given]
        own = prompt_mask("periodic", given.shape, 0, rng)
        options = SamplingOptions(seed=int(rng.integers(1 << 31)))
        generated = generate_coarse(how.coarse, given, own, options)
        window = np.concatenate([generated, window[:, n_given:]], axis=1)
        origin = "coarse"
    if how.pad:
        widths = ((0, 0), (0, 0), (0, how.window - frames))
        window = np.pad(window, widths)
        mask = np.pad(mask, widths, constant_values=1)
    # One trajectory of each prompt, then the next number of steps.
    steps = how.steps[number // len(PROMPTS) % len(how.steps)]
    stride = max(1, steps // how.states)
    chosen = set(range(number % stride, steps, stride))
    # One of four trajectories, of another prompt each time.
    to_the_end = (number - number // len(PROMPTS)) % len(PROMPTS) == len(PROMPTS) - 1
    if to_the_end:
        chosen.discard(max(chosen))
    options = SamplingOptions(steps=steps, seed=int(rng.integers(1 << 31)))
    final = window
    for state, after in _run(window, mask, how, options):
        final = after
        if state.step in chosen:
            label = FeedLabel(name, state.step, state.mask_ratio, prompt, origin)
            yield _StateFeed(state.codes, state.mask, label)
        if not to_the_end and state.step >= max(chosen):
            return
    if to_the_end:
        last = np.zeros_like(window)
        last[:, -how.predicted :, int(rng.integers(0, frames))] = 1
        ratio = 1 / window.shape[2]
        yield _StateFeed(final, last, FeedLabel(name, steps, ratio, prompt, origin))


def _run(
    codes: Codes, mask: Codes, how: Trajectories, options: SamplingOptions
) -> Iterator[tuple[State, Codes]]:
    if how.forward is not None:
        yield from sample(how.forward, codes, mask, how.predicted, options)
        return
    # Without logits there is nothing to sample from: the clip's own codes are uncovered in
    # random order, as many per step as the schedule says.
    rng = np.random.default_rng(options.seed)
    masked = mask.copy()
    masked[:, : codes.shape[1] - how.predicted] = 0
    at_start = int(masked.sum())
    for step in range(options.steps):
        positions = np.flatnonzero(masked)
        if not positions.size:
            return
        ratio = positions.size / masked[:, -how.predicted :].size
        yield State(codes, masked.copy(), step, options.steps, ratio), codes
        left = remask_count(step, options.steps, at_start, positions.size)
        masked.reshape(-1)[rng.permutation(positions)[left:]] = 0
