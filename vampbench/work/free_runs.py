"""Transformers left to themselves: a variant's trajectories against FP32's, and the floor's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optimize.truth.free_running import FreeRun, Progress, Prompt, free_running
from optimize.truth.swap import PERIOD_FRAMES
from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    COARSE_SAMPLING,
    Codes,
    SamplingOptions,
    full_mask,
    periodic_mask,
)
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.spec import N_COARSE_CODEBOOKS, Role

_FLOOR_THREADS = 1


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
    prompts = [
        Prompt(each[:, :N_COARSE_CODEBOOKS] if coarse else each, _mask(role, each), seed)
        for seed, each in enumerate(codes)
    ]
    predicted = N_COARSE_CODEBOOKS if coarse else codes[0].shape[1] - N_COARSE_CODEBOOKS
    sampling = SamplingOptions(steps=coarse_steps) if coarse else C2F_SAMPLING
    return free_running(reference, dict(others), prompts, predicted, sampling, progress)


def _mask(role: Role, codes: Codes) -> Codes:
    if role is Role.COARSE:
        return periodic_mask(codes[:, :N_COARSE_CODEBOOKS].shape, PERIOD_FRAMES)
    mask = full_mask(codes.shape)
    mask[:, :N_COARSE_CODEBOOKS] = 0
    return mask
