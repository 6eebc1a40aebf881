"""The training's logs, one line of JSON per 20 steps or validation, in a few figures."""

from __future__ import annotations

import json
from collections.abc import Iterable

from training.figures.records import StageFigures

_MEAN_STEPS = 100.0
_NOT_JUDGED = ("step", "wall_s", "score")


def stage_figures(lines: Iterable[str]) -> StageFigures:
    """The log of one stage, as `run_stage` writes it. Raises ValueError if nothing was judged."""
    entries: list[dict[str, float]] = [json.loads(line) for line in lines]
    losses = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
    judged = [entry for entry in entries if "score" in entry]
    if not judged or not losses:
        raise ValueError("the log holds no loss or no validation")
    last = losses[-1][0]
    ends = (_MEAN_STEPS, max(_MEAN_STEPS, (last + _MEAN_STEPS) / 2.0), last)
    return {
        "steps": int(judged[-1]["step"]),
        "wall_s": judged[-1]["wall_s"],
        "losses": [_mean([loss for s, loss in losses if e - _MEAN_STEPS < s <= e]) for e in ends],
        "scores": [
            {"step": each["step"]} | {k: v for k, v in each.items() if k not in _NOT_JUDGED}
            for each in judged
        ],
        "best_step": int(max(judged, key=lambda each: each["score"])["step"]),
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
