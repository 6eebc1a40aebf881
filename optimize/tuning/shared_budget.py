"""A budget that all models share: mixtures proposed together, built and measured until they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from optimize.tuning.candidates import Tuned, add_candidates
from optimize.tuning.joint import Curve, Point, proposal
from optimize.tuning.quality import damage_power
from optimize.tuning.search import damage_of
from optimize.tuning.wish import Wish
from vampnet_models.progress import Reporter

_MOST_ROUNDS = 4
"""Of proposing and measuring; each ties the predictions to what was measured last."""


def spend(tuned: Mapping[str, Tuned], cache: Path, wish: Wish, voice: Reporter) -> None:
    """Add the candidates that a bound on size or time asks for; none where neither is bounded."""
    if wish.max_bytes is None and wish.max_latency is None:
        return
    for number in range(_MOST_ROUNDS):
        curves = {name: _curve(found) for name, found in tuned.items()}
        others = {n: [c for c in f.candidates if c.uniform] for n, f in tuned.items()}
        wanted = proposal(curves, others, wish.budget, wish.prefer)
        if not wanted:
            return
        voice.note(
            f"shared budget, round {number + 1} of at most {_MOST_ROUNDS}: a mixture more of "
            f"{', '.join(wanted)}"
        )
        for name, assignment in wanted.items():
            voice.plan(0)
            add_candidates(tuned[name], [assignment], (), cache, wish, voice)
        voice.plan(0)


def _mixtures(found: Tuned) -> tuple[Point, ...]:
    return tuple(
        Point(mixture, damage_of(found.effects, mixture), each)
        for each in found.candidates
        if (mixture := found.mixtures.get(each.recipe)) is not None
    )


def _curve(found: Tuned) -> Curve:
    power = damage_power(found.artifact.role)
    return Curve(found.effects, found.artifact.bytes, power, _mixtures(found))
