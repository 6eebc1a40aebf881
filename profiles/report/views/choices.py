"""What could be shipped: the source, each recipe for all models, each set; and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiles.count.held import Held, held_together
from profiles.full_size import full_size_bytes, is_far_smaller, is_whole_vampnet
from profiles.measure.stats import summed_ratio
from vampnet_models.records.profiles import measured_on
from vampnet_models.records.results import Model, Results, Variant

GOAL_BYTES = 1.8e9
GOAL_TEXT = "1.8\u00a0GB"
"""What the original project set out to reach for all four full-size models together."""


@dataclass(frozen=True)
class Choice:
    """A way to serve every model of the run. Bytes, shares 0 to 1, decibels.

    `missing` names the models that it does not serve; then it is no whole and never best.
    `held` is what its variants are shown to hold; None where that is not known.
    `full_size_bytes`: of VampNet's full-size models in the same recipes, as written with seeded
    weights; None where one was not, and of other models.
    """

    name: str
    kind: str
    parts: str
    bytes: float | None
    summed_bytes: float | None
    source_bytes: float | None
    missing: tuple[str, ...]
    missed: tuple[str, ...]
    held: Held | None
    worst_agreement: float | None
    worst_model: str | None
    within_floor: bool
    si_sdr_db: float | None
    cpu_ratio: float | None
    cpu_interval: tuple[float, float] | None
    noisy: bool
    full_size_bytes: int | None

    @property
    def complete(self) -> bool:
        """Whether every model of the run has a variant here."""
        return not self.missing and self.bytes is not None

    @property
    def share(self) -> float | None:
        """Bytes relative to the source, for complete choices."""
        if not self.complete or not self.bytes or not self.source_bytes:
            return None
        return self.bytes / self.source_bytes


def is_small(model: Model) -> bool:
    """Whether a model of the chain is far below the published size of its role."""
    return is_far_smaller(model.role, model.source_bytes, model.family)


def counted(run: Results) -> tuple[Model, ...]:
    """The models that sums and choices count: without beat trackers, if others are there.

    The chain plays without a beat tracker.
    """
    return tuple(m for m in run.models if not m.is_beats) or run.models


def recipes_of(run: Results) -> tuple[str, ...]:
    """All recipes, in order of appearance."""
    return tuple(dict.fromkeys(v.recipe for m in run.models for v in m.variants))


def source_bytes(run: Results) -> float | None:
    """All sources together, or None when one is not recorded."""
    sizes = [m.source_bytes for m in counted(run)]
    known = [s for s in sizes if s is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def choices_of(run: Results) -> tuple[Choice, ...]:
    """Every recipe and then every set, in the order of the results.

    Where each model has one variant, a recipe of its own, the set says it all.
    """
    names = recipes_of(run)
    one_each = all(len(m.variants) == 1 for m in run.models) and len(names) > 1
    made = [
        _choice(run, name, "recipe", "", {m.name: name for m in run.models}, run.totals.get(name))
        for name in (() if one_each and run.sets else names)
    ]
    for s in run.sets:
        recipes = {m.name: s.parts[m.role] for m in run.models if m.role in s.parts}
        parts = ", ".join(f"{role}: {recipe}" for role, recipe in s.parts.items())
        if len(set(s.parts.values())) == 1:
            parts = f"{next(iter(s.parts.values()))} for every model"
        made.append(_choice(run, s.name, "set", parts, recipes, s.bytes))
    return tuple(made)


def _choice(
    run: Results, name: str, kind: str, parts: str, recipes: dict[str, str], stated: float | None
) -> Choice:
    served: list[tuple[Model, Variant]] = []
    for model in counted(run):
        wanted = recipes.get(model.name)
        served += [(model, v) for v in model.variants if v.recipe == wanted and v.usable][:1]
    names = {m.name for m, _ in served}
    sizes = [v.bytes for _, v in served if v.bytes is not None]
    summed = sum(sizes) if len(sizes) == len(served) and sizes else None
    missing = tuple(m.name for m in counted(run) if m.name not in names)
    agreements = [
        (v.judged.token_agreement, m.name, v.judged.floor)
        for m, v in served
        if v.judged.token_agreement is not None
    ]
    expected = [m for m, _ in served if not m.is_decoder]
    worst = min(agreements, default=None) if len(agreements) == len(expected) else None
    decoded = [v.judged.si_sdr_db for m, v in served if m.is_decoder]
    return Choice(
        name=name,
        kind=kind,
        parts=parts,
        bytes=summed if stated is None or missing else stated,
        summed_bytes=summed,
        source_bytes=source_bytes(run),
        missing=missing,
        missed=tuple(m.name for m, v in served if v.status == "missed"),
        held=None if missing else held_together(served),
        worst_agreement=None if worst is None else worst[0],
        worst_model=None if worst is None else worst[1],
        within_floor=worst is not None
        and all(floor is not None and share >= floor for share, _, floor in agreements),
        si_sdr_db=min((d for d in decoded if d is not None), default=None),
        cpu_ratio=None if missing else _cpu_ratio(served),
        cpu_interval=None if missing else _cpu_interval(served),
        noisy=any(p.noisy for _, v in served if (p := measured_on(v.profiles, "cpu")) is not None),
        full_size_bytes=_full_size(run, served),
    )


def _cpu_ratio(served: Sequence[tuple[Model, Variant]]) -> float | None:
    """One call of each model: summed medians relative to the sources' summed medians."""
    total_s = source_s = 0.0
    for model, variant in served:
        mine, theirs = measured_on(variant.profiles, "cpu"), measured_on(model.profiles, "cpu")
        if mine is None or theirs is None:
            return None
        total_s, source_s = total_s + mine.median_s, source_s + theirs.median_s
    return total_s / source_s if source_s else None


def _cpu_interval(served: Sequence[tuple[Model, Variant]]) -> tuple[float, float] | None:
    """The 95 % interval of `_cpu_ratio`; None where a model lacks samples of the same rounds."""
    pairs = []
    for model, variant in served:
        mine, theirs = measured_on(variant.profiles, "cpu"), measured_on(model.profiles, "cpu")
        if mine is None or theirs is None or not mine.samples_s:
            return None
        if len(mine.samples_s) != len(theirs.samples_s):
            return None
        pairs.append((theirs.samples_s, mine.samples_s))
    if not pairs:
        return None
    found = summed_ratio(pairs)
    return found.low, found.high


def _full_size(run: Results, served: Sequence[tuple[Model, Variant]]) -> int | None:
    """What the full-size models weigh in these recipes; None where one was not written."""
    if not is_whole_vampnet(run) or len(served) != len(counted(run)):
        return None
    sizes = [full_size_bytes(model.role, variant.recipe) for model, variant in served]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
