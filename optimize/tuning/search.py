"""Which precision each block gets, and which candidate each model: pure choices over numbers.

Within a model, candidates are the smallest mixtures of some damage, where the effects of blocks are
taken to add up. Additivity only proposes: every candidate is built and measured before it can be
chosen.
Over models all combinations of the candidates that nothing dominates are looked at.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimize.tuning.sensitivity import Effect
from vampnet_models.records.accuracy import Figure
from vampnet_models.records.results import GradeName
from vampnet_models.records.tuning import Candidate, Near, Prefer

_SHARES = (*(float(x) for x in np.geomspace(2, 1e-7, 30)), 0.0)
"""Of the damage of every block in its worst precision: what a mixture may have."""

_KNAPSACK_UNITS = 1000
"""Rounded up, each block loses at most a thousandth of what the mixture may have; more units take
longer, for every block and option."""

SPEED_WEIGHTS = (0.0, 1.0)
"""Size alone, and size and time alike."""


@dataclass(frozen=True)
class Budget:
    """What a set must keep to; None bounds nothing.

    `max_latency` is against float32, `max_loss` of each model.
    """

    min_agreement: float | None = None
    min_si_sdr_db: float | None = None
    max_bytes: int | None = None
    max_latency: float | None = None
    min_first_agreement: float | None = None
    max_loss: float | None = None

    @property
    def quality(self) -> Budget:
        """The bounds on what is said, without those on size and time."""
        return replace(self, max_bytes=None, max_latency=None)


@dataclass(frozen=True)
class ModelSet:
    """One candidate per model."""

    parts: tuple[Candidate, ...]

    @property
    def bytes(self) -> int:
        """Together."""
        return sum(p.bytes for p in self.parts)

    @property
    def agreement(self) -> float | None:
        """The worst model's."""
        return min((p.agreement for p in self.parts if p.agreement is not None), default=None)

    @property
    def first_agreement(self) -> float | None:
        """The encoder's over its first four codebooks."""
        found = (p.first_agreement for p in self.parts if p.first_agreement is not None)
        return min(found, default=None)

    @property
    def si_sdr_db(self) -> float | None:
        """The worst model's."""
        return min((p.si_sdr_db for p in self.parts if p.si_sdr_db is not None), default=None)

    @property
    def sampled_agreement(self) -> Figure | None:
        """Of the lowest lower end."""
        found = (p.sampled_agreement for p in self.parts if p.sampled_agreement is not None)
        return min(found, key=lambda each: each.low or 0.0, default=None)

    @property
    def cost_nats(self) -> Figure | None:
        """Of the highest upper end."""
        return _dearest(p.cost_nats for p in self.parts)

    @property
    def cost_log_mel_db(self) -> Figure | None:
        """Of the highest upper end."""
        return _dearest(p.cost_log_mel_db for p in self.parts)

    @property
    def grades(self) -> tuple[GradeName, ...]:
        """Those that every model is shown to hold."""
        first, *rest = (p.grades for p in self.parts)
        return tuple(grade for grade in first if all(grade in each for each in rest))

    @property
    def loss(self) -> float:
        """The sum of the models' losses."""
        return sum(p.loss for p in self.parts)

    @property
    def latency(self) -> float:
        """All models run once, against float32."""
        return sum(p.time_ratio * p.reference_s for p in self.parts) / sum(
            p.reference_s for p in self.parts
        )

    def within(self, budget: Budget) -> bool:
        """Whether it keeps to the budget."""
        return (
            _at_least(self.agreement, budget.min_agreement)
            and _at_least(self.first_agreement, budget.min_first_agreement)
            and _at_least(self.si_sdr_db, budget.min_si_sdr_db)
            and (budget.max_loss is None or max(p.loss for p in self.parts) <= budget.max_loss)
            and (budget.max_bytes is None or self.bytes <= budget.max_bytes)
            and (budget.max_latency is None or self.latency <= budget.max_latency)
        )


def _dearest(found: Iterable[Figure | None]) -> Figure | None:
    known = (each for each in found if each is not None)
    return max(known, key=lambda each: each.high or 0.0, default=None)


def _at_least(found: float | None, wanted: float | None) -> bool:
    return found is None or wanted is None or found >= wanted


def assignments(
    effects: Mapping[str, Sequence[Effect]], total_bytes: int, limit: int
) -> list[dict[str, str]]:
    """At most `limit` assignments of precisions to blocks, from the smallest to the truest.

    `effects` are the options of each block. Each assignment is the smallest, or the smallest and
    fastest, of some damage.
    """
    largest = worst_damage(effects)
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for speed, share in itertools.product(SPEED_WEIGHTS, _SHARES):
        chosen = smallest(effects, total_bytes, share * largest, speed)
        found.setdefault(tuple(chosen.items()), damage_of(effects, chosen))
    ranked = sorted(found, key=lambda key: -found[key])
    if len(ranked) > limit:
        # Evenly over the ranks, so that the smallest and the truest stay.
        ranked = [ranked[i] for i in np.linspace(0, len(ranked) - 1, limit).round().astype(int)]
    return [dict(key) for key in ranked]


def smallest(
    effects: Mapping[str, Sequence[Effect]],
    total_bytes: int,
    most_damage: float,
    speed: float = 0.0,
) -> dict[str, str]:
    """The precisions of least size, or size and `speed` times the time, within a sum of damage.

    A multiple-choice knapsack by dynamic programming (Kellerer, Pferschy and Pisinger 2004,
    chapter 11); damage is counted in thousandths of `most_damage`, rounded up.
    """
    unit = most_damage / _KNAPSACK_UNITS
    costs = np.zeros(_KNAPSACK_UNITS + 1)
    """The least cost of the blocks so far, by the units of damage that they may take."""
    picks = []
    for options in effects.values():
        best, pick = np.full(len(costs), np.inf), np.zeros(len(costs), int)
        for number, option in enumerate(options):
            units = _units(option.damage, unit)
            if units is None:
                continue
            mine = np.full(len(costs), np.inf)
            # With this option, the blocks before may take that many units less.
            mine[units:] = costs[: len(costs) - units] + _cost(option, total_bytes, speed)
            pick[mine < best], best = number, np.minimum(mine, best)
        costs = best
        picks.append((options, pick))
    # Backwards: what the last block took is what those before it did not have.
    left, found = _KNAPSACK_UNITS, {}
    for options, pick in reversed(picks):
        option = options[pick[left]]
        found[option.block] = option.precision
        left -= _units(option.damage, unit) or 0
    return {block: found[block] for block in effects}


def damage_of(effects: Mapping[str, Sequence[Effect]], chosen: Mapping[str, str]) -> float:
    """The sum over blocks, which is the damage of the whole to a first order."""
    return sum(
        e.damage for each in effects.values() for e in each if chosen[e.block] == e.precision
    )


def saved_bytes(effects: Mapping[str, Sequence[Effect]], chosen: Mapping[str, str]) -> int:
    """What an assignment saves against float32."""
    return sum(
        e.saved_bytes for each in effects.values() for e in each if chosen[e.block] == e.precision
    )


def worst_damage(effects: Mapping[str, Sequence[Effect]]) -> float:
    """Every block in its worst precision, but for those that overflow."""
    return sum(max(_finite(e.damage for e in each), default=0.0) for each in effects.values())


def _units(damage: float, unit: float) -> int | None:
    """None where it is more than all may be; what does nothing costs nothing."""
    if damage <= 0:
        return 0
    if unit <= 0 or damage > unit * _KNAPSACK_UNITS:
        return None
    # Up: what fits in units then fits in damage.
    return math.ceil(damage / unit)


def _cost(effect: Effect, total_bytes: int, speed: float) -> float:
    return -effect.saved_bytes / total_bytes + speed * (effect.time_ratio - 1)


def _finite(values: Iterable[float]) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def sets_of(candidates: Mapping[str, Sequence[Candidate]]) -> list[ModelSet]:
    """Every combination of the candidates of each model that no other one dominates."""
    kept = [_undominated(each) for each in candidates.values()]
    return [ModelSet(parts) for parts in itertools.product(*kept)]


def _undominated(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that no other one equals or beats in size, loss, first codebooks and time at once."""

    def of(c: Candidate) -> tuple[float, ...]:
        return (c.bytes, c.loss, c.time_ratio, -(c.first_agreement or 0.0))

    def beats(a: Candidate, b: Candidate) -> bool:
        return of(a) != of(b) and all(x <= y for x, y in zip(of(a), of(b), strict=True))

    return [c for c in candidates if not any(beats(other, c) for other in candidates)]


def choose(sets: Iterable[ModelSet], budget: Budget, prefer: Prefer) -> ModelSet | None:
    """The best set within the budget; None where there is none."""
    return min((s for s in sets if s.within(budget)), key=lambda s: rank(s, prefer), default=None)


def rank(found: ModelSet, prefer: Prefer) -> tuple[float, ...]:
    """Sorts sets, the preferred first."""
    if prefer == "smallest":
        return (found.bytes, found.loss, found.latency)
    if prefer == "fastest":
        return (found.latency, found.bytes, found.loss)
    return (found.loss, found.bytes, found.latency)


def uniform_sets(candidates: Mapping[str, Sequence[Candidate]]) -> list[ModelSet]:
    """One recipe for all models, for each recipe that all of them have."""
    by_recipe = [{c.recipe: c for c in each if c.uniform} for each in candidates.values()]
    shared = [name for name in by_recipe[0] if all(name in each for each in by_recipe)]
    return [ModelSet(tuple(each[name] for each in by_recipe)) for name in shared]


def front(sets: Sequence[ModelSet]) -> list[ModelSet]:
    """The sets that are smaller than every truer one, from the smallest on."""
    found: list[ModelSet] = []
    for each in sorted(sets, key=lambda s: (s.bytes, s.loss)):
        if not found or each.loss < found[-1].loss:
            found.append(each)
    return found


def nearest(sets: Sequence[ModelSet], budget: Budget) -> list[tuple[Near, ModelSet]]:
    """What comes nearest to a budget that nothing meets: each given bound alone is kept in turn."""
    said: Near = "keeps-tokens" if budget.max_loss is None else "keeps-costs"
    ways: list[tuple[Near, Budget, Prefer]] = [(said, budget.quality, "smallest")]
    if budget.max_bytes is not None:
        ways.append(("keeps-size", Budget(max_bytes=budget.max_bytes), "truest"))
    if budget.max_latency is not None:
        of_time = Budget(max_latency=budget.max_latency)
        ways.append(("keeps-time", of_time, "truest"))
    ways.append(("truest", Budget(), "truest"))
    found: list[tuple[Near, ModelSet]] = []
    for name, bounds, prefer in ways:
        best = choose(sets, bounds, prefer)
        if best is not None and best not in [each for _, each in found]:
            found.append((name, best))
    return found
