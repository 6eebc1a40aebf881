"""Mixtures of all models together for a budget that they share: bytes, or time.

A bound on the tokens of each model lets `refine` search one model at a time. A budget of bytes or
time does not: a smaller encoder leaves more room for the decoder. Each model's curve of mixtures is
predicted from the effects of its blocks, tied to the mixtures that were measured, and one point is
taken from each curve. What is proposed is built and measured, which ties the curves anew where it
matters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from optimize.tuning.search import (
    SPEED_WEIGHTS,
    Budget,
    ModelSet,
    damage_of,
    saved_bytes,
    smallest,
    worst_damage,
)
from optimize.tuning.sensitivity import Effect
from vampnet_models.records.tuning import Candidate, Prefer

_Assignment = Mapping[str, str]
_Floats = NDArray[np.float64]

_SHARES = tuple(float(x) for x in np.geomspace(1, 1e-6, 60))
"""Of the damage of every block in its worst precision."""

_Choice = tuple[Candidate, _Assignment | None]
"""A point of a curve; the assignment where it is a prediction."""


@dataclass(frozen=True)
class Point:
    """A mixture with what it is, or is predicted to be."""

    assignment: _Assignment
    damage: float
    candidate: Candidate


@dataclass(frozen=True)
class Curve:
    """One model's mixtures from small to true, tied to those that were measured.

    The loss grows as damage to the `1 / power` (1 for sound, 2 for tokens: `refine`).
    """

    effects: Mapping[str, Sequence[Effect]]
    total_bytes: int
    power: float
    measured: tuple[Point, ...]

    def points(self) -> list[Point]:
        """The measured mixtures, and predictions between them; none where none was measured."""
        if not self.measured:
            return []
        most = worst_damage(self.effects)
        found = {_key(p.assignment): p for p in self.measured}
        for share, speed in itertools.product(_SHARES, SPEED_WEIGHTS):
            assignment = smallest(self.effects, self.total_bytes, share * most, speed)
            key = _key(assignment)
            if key not in found:
                found[key] = self._predicted(assignment)
        return list(found.values())

    def _predicted(self, assignment: _Assignment) -> Point:
        """As the measured mixture of the nearest damage, moved by what the effects say."""
        damage = damage_of(self.effects, assignment)
        near = min(self.measured, key=lambda p: abs(_log(p.damage) - _log(damage)))
        was, known = near.candidate, near.damage
        # What was measured carries the level; the effects say only how far it moves from there.
        growth = (damage / known) ** (1 / self.power) if known > 0 else 1.0
        loss = was.loss * growth
        first = was.first_agreement
        time = _time(self.effects, assignment) - _time(self.effects, near.assignment)
        saved = saved_bytes(self.effects, assignment) - saved_bytes(self.effects, near.assignment)
        candidate = replace(
            was,
            recipe="",
            bytes=was.bytes - saved,
            loss=loss,
            agreement=None if was.agreement is None else 1 - (1 - was.agreement) * growth,
            # The loss of sound is the share of noise in its power: what it grows by, SI-SDR loses.
            si_sdr_db=None if was.si_sdr_db is None else was.si_sdr_db - _decibels(growth),
            first_agreement=None if first is None else 1 - (1 - first) * growth,
            # Savings add up to a first order alone, and their sum may ask for less than no time.
            time_ratio=max(was.time_ratio + time, 0.05),
        )
        return Point(assignment, damage, candidate)


def proposal(
    curves: Mapping[str, Curve],
    others: Mapping[str, Sequence[Candidate]],
    budget: Budget,
    prefer: Prefer,
) -> dict[str, _Assignment]:
    """For each model its mixture in the best predicted set within the budget, if not measured yet.

    `others` are the measured candidates that are no mixtures. Empty where every mixture of that set
    is measured, or where nothing is predicted to keep to the budget.
    """
    choices: list[list[_Choice]] = []
    for name, curve in curves.items():
        measured = {_key(p.assignment) for p in curve.measured}
        mine: list[_Choice] = [(each, None) for each in others[name]]
        for point in curve.points():
            known = _key(point.assignment) in measured
            mine.append((point.candidate, None if known else point.assignment))
        choices.append([c for c in mine if ModelSet((c[0],)).within(budget.quality)])
    if not all(choices):
        return {}
    picks = [
        each[at] for each, at in zip(choices, _exchanged(choices, budget, prefer), strict=True)
    ]
    if not ModelSet(tuple(candidate for candidate, _ in picks)).within(budget):
        return {}
    return {
        name: assignment
        for name, (_, assignment) in zip(curves, picks, strict=True)
        if assignment is not None
    }


def _exchanged(choices: Sequence[Sequence[_Choice]], budget: Budget, prefer: Prefer) -> list[int]:
    """A choice per model that no other choice of one or two models improves."""
    columns = [_columns([c for c, _ in each]) for each in choices]
    reference_s = sum(each[0][0].reference_s for each in choices)
    most_bytes = math.inf if budget.max_bytes is None else budget.max_bytes
    most_s = math.inf if budget.max_latency is None else budget.max_latency * reference_s
    keys = {"truest": (0, 1, 2), "smallest": (1, 0, 2), "fastest": (2, 1, 0)}[prefer]

    def costs(sums: _Floats) -> tuple[_Floats, ...]:
        # What is over a bound counts before anything else: from outside the search walks into it.
        over = np.maximum(sums[1] / most_bytes - 1, 0) + np.maximum(sums[2] / most_s - 1, 0)
        return (over, *(sums[key] for key in keys))

    best, better = [0] * len(choices), True
    while better:
        better = False
        # Two at once: a model gives up bytes only where another one takes them.
        for pair in itertools.combinations(range(len(choices)), min(2, len(choices))):
            now = np.sum([columns[m][:, best[m]] for m in range(len(choices))], axis=0)
            sums = (now - sum(columns[m][:, best[m]] for m in pair))[:, None]
            for m in pair:
                sums = (sums[:, :, None] + columns[m][:, None, :]).reshape(3, -1)
            found = costs(sums)
            at = int(np.lexsort(found[::-1])[0])
            # By more than rounding: else sums in another order look like progress, for ever.
            if tuple(f[at] for f in found) < tuple(n * (1 - 1e-9) for n in costs(now)):
                picks = np.unravel_index(at, [columns[m].shape[1] for m in pair])
                for m, pick in zip(pair, picks, strict=True):
                    best[m] = int(pick)
                better = True
    return best


def _columns(candidates: Sequence[Candidate]) -> _Floats:
    """Loss, bytes and seconds of each, `[3, candidates]`."""
    rows = [(c.loss, c.bytes, c.time_ratio * c.reference_s) for c in candidates]
    return np.array(rows, np.float64).T


def _key(assignment: _Assignment) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(assignment.items()))


def _log(damage: float) -> float:
    return math.log(max(damage, 1e-12))


def _decibels(growth: float) -> float:
    return 10 * math.log10(max(growth, 1e-12))


def _time(effects: Mapping[str, Sequence[Effect]], chosen: _Assignment) -> float:
    return sum(
        e.time_ratio - 1
        for each in effects.values()
        for e in each
        if chosen[e.block] == e.precision
    )
