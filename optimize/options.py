"""What could be shipped of a model on a target: each variant with its verdict and its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optimize.truth.grades import Criterion, Judgement, judge
from profiles.measure.stats import SAME_RUN_MARGIN
from profiles.targets import order
from profiles.targets.contract import Target
from vampnet_models.records.profiles import Measurement, measured_on
from vampnet_models.records.results import FP32, Model, Variant
from vampnet_models.spec import Role

TUNED, TUNED_SMALL = MIXTURES = ("tuned", "tuned-small")
"""What `run --tune` finds: the smallest mixture that is no slower than FP32 on this CPU; the
smallest of all."""

_CODEC = (Role.CODEC_ENCODER.value, Role.CODEC_DECODER.value)


@dataclass(frozen=True)
class Time:
    """One run of a variant against one of FP32, of the same rounds where they have samples.

    base_s: FP32's median.
    ratio, low, high: a multiple of that, and its 95 % interval.
    sure: neither time was noisy, and there is an interval.
    pair: the samples of FP32 and of the variant; None where they are not of the same rounds.
    """

    base_s: float
    ratio: float
    low: float
    high: float
    sure: bool
    pair: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def is_faster(self) -> bool:
        """Whether that is shown: a noisy time, or one whose interval spans 1, shows nothing."""
        return self.sure and self.high < 1 - SAME_RUN_MARGIN

    @property
    def counted(self) -> float:
        """The ratio that a set is charged: the upper end, but no gain that is not shown."""
        return self.high if self.is_faster else max(self.high, 1.0)


@dataclass(frozen=True)
class Option:
    """A recipe of a model on a target; `time` is None where it was not measured there."""

    recipe: str
    bytes: int
    judgement: Judgement
    time: Time | None = None

    @property
    def holds(self) -> bool:
        """Whether it is within the grade; FP32 always is."""
        return self.judgement.verdict == "holds"


def options_of(
    model: Model, offered: Sequence[str], target: Target, criterion: Criterion
) -> list[Option]:
    """FP32, then every variant of the model that the target is offered and that was made."""
    name = target.profiler.name
    source = measured_on(model.profiles, name)
    same = None if source is None else _time(source, source)
    found = [Option(FP32, model.source_bytes or 0, Judgement("holds", "as it came in"), same)]
    for variant in model.variants:
        if variant.usable and variant.recipe in offered:
            mine = measured_on(variant.profiles, name)
            time = None if source is None or mine is None else _time(source, mine)
            judged = _judged(model, variant, criterion)
            found.append(Option(variant.recipe, variant.bytes or 0, judged, time))
    return found


def offered_to(target: Target, model: Model, models: Sequence[Model]) -> tuple[str, ...]:
    """The recipes of a model that the target takes; `models` are all of the run."""
    if target.codec_recipes is not None and model.role in _CODEC:
        return target.codec_recipes
    if target.recipes is None:
        elsewhere = {r for t in order.TARGETS if t.name != target.name for r in t.own_recipes}
        return tuple(v.recipe for v in model.variants if v.recipe not in elsewhere)
    if target.instead is not None and not _have(models, target.recipes):
        return target.instead
    mixtures = (v.recipe for v in model.variants if v.recipe in MIXTURES and target.takes_mixtures)
    return (*target.recipes, *mixtures)


def is_usable(model: Model) -> bool:
    """Whether anything could be made of it: of others nobody knows whether they run at all."""
    return any(v.usable for v in model.variants)


def _have(models: Sequence[Model], recipes: Sequence[str]) -> bool:
    """Whether every model that anything was made of has one of them."""
    return all(
        any(v.recipe in recipes and v.usable for v in model.variants)
        for model in models
        if is_usable(model)
    )


def _judged(model: Model, variant: Variant, criterion: Criterion) -> Judgement:
    if variant.status == "missed":
        return Judgement("missed", variant.reason or "missed what was asked of it")
    return judge(model.role, variant.accuracy, criterion)


def _time(source: Measurement, mine: Measurement) -> Time:
    if mine is source:
        both = (mine.samples_s, mine.samples_s) if mine.samples_s else None
        return Time(source.median_s, 1.0, 1.0, 1.0, True, both)
    ratio = mine.median_s / source.median_s
    low, high = mine.ratio_interval or (ratio, ratio)
    sure = mine.ratio_interval is not None and not mine.noisy and not source.noisy
    paired = 0 < len(mine.samples_s) == len(source.samples_s)
    pair = (source.samples_s, mine.samples_s) if paired else None
    return Time(source.median_s, ratio, low, high, sure, pair)
