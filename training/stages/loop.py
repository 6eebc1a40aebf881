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

from training.config import Stage
from training.stages.checkpoint import write

_SAVE_EVERY_S = 60.0
_LOG_EVERY_STEPS = 20
_FINAL_LR_SHARE = 0.02

STOP = threading.Event()
"""Set from a signal handler: the stage saves after the step it is in and raises."""


class InterruptedTrainingError(Exception):
    """Training was asked to stop; its state is saved and the same command goes on from it."""


_StepLoss = Callable[[int], tuple[Tensor, dict[str, float]]]


def _progress(stage: Stage, step: int, cpu_s: float, wall_s: float) -> float:
    """How much of the stage is done, 0 to 1, by whichever limit is nearest."""
    return min(1.0, max(step / stage.max_steps, cpu_s / stage.max_cpu_s, wall_s / stage.max_wall_s))


def _learning_rate(stage: Stage, step: int, done: float) -> float:
    """Linear warm-up, then a cosine over the progress."""
    warm = min(1.0, (step + 1) / stage.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * done))
    return stage.peak_lr * warm * (_FINAL_LR_SHARE + (1.0 - _FINAL_LR_SHARE) * cosine)


def run_stage(
    stage: Stage,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    step_loss: _StepLoss,
    folder: Path,
    after_step: Callable[[int], None] = lambda _step: None,
    clip: float = 1.0,
) -> list[dict[str, float]]:
    """Train until a limit is met; returns the log. Resumes from `<folder>/<stage>.state`.

    `step_loss(step)` draws the batch and answers the loss and the figures to log. The state is
    saved every minute; the log is appended to `<folder>/<stage>.jsonl`. A parameter group's
    `lr_scale` multiplies its learning rate.
    """
    state_path, log_path = folder / f"{stage.name}.state", folder / f"{stage.name}.jsonl"
    step, cpu_before, wall_before, log = 0, 0.0, 0.0, []
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        step, cpu_before, wall_before = state["step"], state["cpu_s"], state["wall_s"]
        log = state["log"]
    cpu_start, wall_start = time.process_time() - cpu_before, time.monotonic() - wall_before
    saved_s = time.monotonic()
    recent: dict[str, list[float]] = {}

    def save() -> None:
        write(
            state_path,
            {
                "module": module.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "cpu_s": time.process_time() - cpu_start,
                "wall_s": time.monotonic() - wall_start,
                "log": log,
            },
        )

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
        step += 1
        for name, value in {"loss": loss.item(), **figures}.items():
            recent.setdefault(name, []).append(value)
        if step % _LOG_EVERY_STEPS == 0:
            entry = {"step": float(step), "wall_s": wall_s, "done": done}
            entry |= {name: sum(values) / len(values) for name, values in recent.items()}
            log.append(entry)
            recent = {}
            with log_path.open("a") as lines:
                lines.write(json.dumps({k: round(v, 4) for k, v in entry.items()}) + "\n")
        if time.monotonic() - saved_s > _SAVE_EVERY_S or STOP.is_set():
            save()
            saved_s = time.monotonic()
        if STOP.is_set():
            raise InterruptedTrainingError(f"{stage.name}: stopped after step {step}")
    save()
    return log
