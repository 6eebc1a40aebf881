"""A budget that all models share: mixtures proposed together, built and measured until they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optimize.tuning.candidates import TunedModel, add_candidates
from optimize.tuning.goal import SearchGoal, damage_power
from optimize.tuning.joint import Curve, Point, proposal
from optimize.tuning.mixed import name_of
from optimize.tuning.search import damage_of
from vampnet_models.progress import Reporter

_MOST_ROUNDS = 4
"""Of proposing and measuring; each ties the predictions to what was measured last."""


def spend(
    tuned: Mapping[str, TunedModel], cache: Path, goal: SearchGoal, reporter: Reporter
) -> None:
    """Add the candidates that a bound on size or time asks for; none where neither is bounded."""
    if goal.max_bytes is None and goal.max_latency is None:
        return
    for number in range(_MOST_ROUNDS):
        curves = {name: _curve(each, goal) for name, each in tuned.items()}
        others = {n: [c for c in f.candidates if c.uniform] for n, f in tuned.items()}
        wanted = proposal(curves, others, goal.budget, goal.prefer)
        if not wanted:
            return
        reporter.note(
            f"shared budget, round {number + 1} of at most {_MOST_ROUNDS}: a mixture more of "
            f"{', '.join(wanted)}"
        )
        for name, assignment in wanted.items():
            reporter.plan(0)
            add_candidates(tuned[name], [assignment], (), cache, goal, reporter)
        reporter.plan(0)


def _mixtures(tuned: TunedModel) -> tuple[Point, ...]:
    """Each mixture once: what was built of it last is the native one, where that is a candidate."""
    found = {}
    for each in tuned.candidates:
        mixture = tuned.mixtures.get(each.recipe)
        if mixture is not None:
            found[name_of(mixture)] = Point(mixture, damage_of(tuned.effects, mixture), each)
    return tuple(found.values())


def _curve(tuned: TunedModel, goal: SearchGoal) -> Curve:
    power = damage_power(tuned.artifact.role, goal)
    return Curve(tuned.effects, tuned.artifact.bytes, power, _mixtures(tuned))
