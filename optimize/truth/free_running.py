"""Free-running comparison: same prompts, same seeds, each model on its own trajectory.

Teacher-forced agreement judges each step from the reference's own state. Here an early difference
changes all later states, as it does in use: where does a variant leave the reference's path, and
how much of the result is still the same?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from optimize.truth.swap import PERIOD_FRAMES
from vampnet_models.chain.pipeline import forward_of
from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    COARSE_SAMPLING,
    Codes,
    SamplingOptions,
    full_mask,
    periodic_mask,
    sample,
)
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.progress import Progress
from vampnet_models.records.accuracy import FreeRun
from vampnet_models.repair.layouts import session_spec
from vampnet_models.spec import Role, n_coarse_of

_FLOOR_THREADS = 1


@dataclass(frozen=True)
class Prompt:
    """What sampling starts from: codes and mask int64 `[1, n, frames]`, 1 is generated."""

    codes: Codes
    mask: Codes
    seed: int


def free_running(
    reference: Session,
    others: dict[str, Session],
    prompts: Sequence[Prompt],
    predicted: int,
    options: SamplingOptions,
    progress: Progress | None = None,
) -> dict[str, FreeRun]:
    """Compare each of `others` (variants; the floor is one of them) with the reference.

    Raises InputError when a model gives no logits, or no prompt leaves anything to generate.
    """
    runs = [_trajectory(reference, prompt, predicted, options) for prompt in prompts]
    found = {}
    for number, (name, session) in enumerate(others.items()):
        steps: list[list[tuple[int, int]]] = []
        ends: list[tuple[int, int]] = []
        first: list[int | None] = []
        for done, (prompt, own) in enumerate(zip(prompts, runs, strict=True)):
            theirs = _trajectory(session, prompt, predicted, options)
            generated = prompt.mask[:, -predicted:].astype(bool)
            counts = [
                (int((a == b)[generated].sum()), int(generated.sum()))
                for a, b in zip(own, theirs, strict=True)
            ]
            steps.append(counts)
            ends.append(counts[-1])
            first.append(next((i for i, (same, n) in enumerate(counts) if same < n), None))
            if progress is not None:
                progress(number * len(prompts) + done + 1, len(others) * len(prompts))
        total = sum(n for _, n in ends)
        if total == 0:
            raise InputError("no prompt leaves anything to generate; mask some frames")
        found[name] = FreeRun(
            kept=sum(same for same, _ in ends) / total,
            per_step=tuple(
                sum(counts[i][0] for counts in steps) / total for i in range(len(steps[0]))
            ),
            first_divergence=tuple(first),
            n_tokens=total,
            undiverged=first.count(None),
        )
    return found


def _trajectory(
    session: Session, prompt: Prompt, predicted: int, options: SamplingOptions
) -> list[Codes]:
    """The predicted codebooks after each step, the last one repeated if sampling ended early."""
    seeded = SamplingOptions(**(asdict(options) | {"seed": prompt.seed}))
    after = [
        codes[:, -predicted:]
        for _, codes in sample(forward_of(session), prompt.codes, prompt.mask, predicted, seeded)
    ]
    after = after or [np.asarray(prompt.codes[:, -predicted:])]
    return after + [after[-1]] * (options.steps - len(after))


def floor_session(reference: Artifact) -> Session:
    """FP32 again, with one thread and no graph optimization."""
    return open_session(reference.path, threads=_FLOOR_THREADS, graph_optimization="disabled")


def free_runs(
    role: Role,
    reference: Session,
    others: Mapping[str, Session],
    codes: Sequence[Codes],
    coarse_steps: int = COARSE_SAMPLING.steps,
    progress: Progress | None = None,
) -> dict[str, FreeRun]:
    """Let each of `others` sample from the same prompts and seeds as the reference.

    `codes` int64 `[1, codebooks, frames]` are whole: coarse gets the first of them, every seventh
    frame kept; c2f generates all the finer ones.
    """
    coarse = role is Role.COARSE
    n_coarse = n_coarse_of(session_spec(reference))
    prompts = [
        Prompt(each[:, :n_coarse] if coarse else each, _mask(role, each, n_coarse), seed)
        for seed, each in enumerate(codes)
    ]
    predicted = n_coarse if coarse else codes[0].shape[1] - n_coarse
    sampling = SamplingOptions(steps=coarse_steps) if coarse else C2F_SAMPLING
    return free_running(reference, dict(others), prompts, predicted, sampling, progress)


def _mask(role: Role, codes: Codes, n_coarse: int) -> Codes:
    if role is Role.COARSE:
        return periodic_mask(codes[:, :n_coarse].shape, PERIOD_FRAMES)
    mask = full_mask(codes.shape)
    mask[:, :n_coarse] = 0
    return mask
