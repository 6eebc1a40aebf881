"""One training loop for every stage: schedule, logging, resuming."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from training.config import Stage
from training.stages.checkpoint import write

_SAVE_EVERY_S = 60.0
_VALIDATE_EVERY_S = 600.0
_EMA_DECAY = 0.999
_LOG_EVERY_STEPS = 20
_FINAL_LR_SHARE = 0.02

STOP = threading.Event()
"""Set from a signal handler: the stage saves after the step it is in and raises."""


class InterruptedTrainingError(Exception):
    """Training was asked to stop; its state is saved and the same command goes on from it."""


_Tensors = tuple[Tensor, ...] | list[Tensor]
_StepLoss = Callable[[int], tuple[Tensor, dict[str, float]]]
Validate = Callable[[nn.Module], dict[str, float]]
"""Figures of the averaged weights on the validation side; `score` is the one to keep by."""


def _progress(stage: Stage, step: int, cpu_s: float, wall_s: float) -> float:
    """How much of the stage is done, 0 to 1, by whichever limit is nearest."""
    return min(1.0, max(step / stage.max_steps, cpu_s / stage.max_cpu_s, wall_s / stage.max_wall_s))


def _learning_rate(stage: Stage, step: int, done: float) -> float:
    """Linear warm-up, then a cosine over the progress."""
    warm = min(1.0, (step + 1) / stage.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * done))
    return stage.peak_lr * warm * (_FINAL_LR_SHARE + (1.0 - _FINAL_LR_SHARE) * cosine)


@torch.no_grad()
def _averaged(averages: _Tensors, current: _Tensors, count: Tensor | int) -> None:
    """Move the averages towards the current weights; faster at first, or they keep the start."""
    seen = float(count)
    decay = min(_EMA_DECAY, (1.0 + seen) / (10.0 + seen))
    torch._foreach_lerp_(list(averages), list(current), 1.0 - decay)


def run_stage(
    stage: Stage,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    step_loss: _StepLoss,
    validate: Validate,
    folder: Path,
    after_step: Callable[[int], None] = lambda _step: None,
    clip: float = 1.0,
) -> list[dict[str, float]]:
    """Train until a limit is met; `module` ends with the best averaged weights; returns the log.

    `step_loss(step)` draws the batch and answers the loss and the figures to log. Weights are
    averaged exponentially; every ten minutes `validate` judges the averages, and those of the
    highest `score` are kept in `<folder>/<stage>.best`. The state is saved every minute to
    `<folder>/<stage>.state`, from which the same call goes on; the log is appended to
    `<folder>/<stage>.jsonl`. A parameter group's `lr_scale` multiplies its learning rate.
    """
    state_path, log_path = folder / f"{stage.name}.state", folder / f"{stage.name}.jsonl"
    best_path = folder / f"{stage.name}.best"
    average = AveragedModel(module, multi_avg_fn=_averaged)
    step, cpu_before, wall_before, best, log = 0, 0.0, 0.0, -math.inf, []
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        module.load_state_dict(state["module"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, cpu_before, wall_before = state["step"], state["cpu_s"], state["wall_s"]
        best, log = state["best"], state["log"]
    cpu_start, wall_start = time.process_time() - cpu_before, time.monotonic() - wall_before
    saved_s = validated_s = time.monotonic()
    recent: dict[str, list[float]] = {}

    def save() -> None:
        write(
            state_path,
            {
                "module": module.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "cpu_s": time.process_time() - cpu_start,
                "wall_s": time.monotonic() - wall_start,
                "best": best,
                "log": log,
            },
        )

    def note(entry: dict[str, float]) -> None:
        log.append(entry)
        with log_path.open("a") as lines:
            lines.write(json.dumps({k: round(v, 4) for k, v in entry.items()}) + "\n")

    def judge() -> None:
        nonlocal best
        with torch.no_grad():
            figures = validate(average.module)
        note({"step": float(step), "wall_s": time.monotonic() - wall_start} | figures)
        if figures["score"] > best:
            best = figures["score"]
            write(best_path, average.module.state_dict())

    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    while True:
        wall_s = time.monotonic() - wall_start
        done = _progress(stage, step, time.process_time() - cpu_start, wall_s)
        if done >= 1.0:
            break
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(stage, step, done) * group.get("lr_scale", 1.0)
        optimizer.zero_grad(set_to_none=True)
        loss, figures = step_loss(step)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        after_step(step)
        average.update_parameters(module)
        step += 1
        for name, value in {"loss": loss.item(), **figures}.items():
            recent.setdefault(name, []).append(value)
        if step % _LOG_EVERY_STEPS == 0:
            entry = {"step": float(step), "wall_s": wall_s, "done": done}
            note(entry | {name: sum(values) / len(values) for name, values in recent.items()})
            recent = {}
        if time.monotonic() - validated_s > _VALIDATE_EVERY_S:
            judge()
            validated_s = time.monotonic()
        if time.monotonic() - saved_s > _SAVE_EVERY_S or STOP.is_set():
            save()
            saved_s = time.monotonic()
        if STOP.is_set():
            raise InterruptedTrainingError(f"{stage.name}: stopped after step {step}")
    judge()
    save()
    module.load_state_dict(torch.load(best_path, weights_only=True))
    return log
