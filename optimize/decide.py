"""The one answer of a run: which set to ship on each target, why, and what was passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimize.options import Option, is_usable, offered_to, options_of
from optimize.truth.grades import Criterion
from profiles.measure.stats import SAME_RUN_MARGIN, summed_ratio
from profiles.sets import counted
from profiles.targets import order
from profiles.targets.contract import Target
from vampnet_models.records.results import FP32, DecidedSet, Decision, Model, PassedOver, Results

_FP16 = ("fp16", "coreml-fp16", "npu-fp16")
"""What is taken where nothing holds the grade: of a target, the one that it is offered."""

_Parts = dict[str, Option]
"""By model."""


@dataclass(frozen=True)
class _Way:
    """A set on the way: its parts, bytes, and the time that it is charged, in seconds."""

    parts: _Parts
    bytes: int = 0
    seconds: float = 0.0


def decide(results: Results, criterion: Criterion | None = None) -> dict[str, Decision]:
    """For each target the smallest set within the grade that is no slower than FP32, and the
    fastest one; of a target that was not measured the smallest.

    The time of a set is one call of each model; a time that is noisy, or whose interval spans 1,
    is no gain, and no loss up to the 2 % that two runs of one model differ by. Of a model of which
    no variant holds the grade: FP16, unless it is shown to miss the grade, then FP32.
    `criterion` is the grade `harmless` by default. A target is left out where some model lacks what
    it alone takes, all of them where nothing could be made of any model.
    """
    asked = criterion or Criterion()
    made = {t.name: _decision(results, t, asked) for t in order.TARGETS}
    return {name: decision for name, decision in made.items() if decision is not None}


def set_of(models: Sequence[Model], recipes: Mapping[str, str], target: Target) -> DecidedSet:
    """The set of these recipes by model, with its time where all of it was measured there.

    A model that `recipes` does not name is not in it.
    """
    parts = {
        m.name: next(
            each
            for each in options_of(m, (recipes[m.name],), target, Criterion())
            if each.recipe == recipes[m.name]
        )
        for m in models
        if m.name in recipes
    }
    return _set(parts, all(each.time is not None for each in parts.values()))


def _decision(results: Results, target: Target, criterion: Criterion) -> Decision | None:
    models = [m for m in counted(results.models) if is_usable(m)]
    options = {
        m.name: options_of(m, offered_to(target, m, models), target, criterion) for m in models
    }
    lacking = any(len(each) == 1 for each in options.values())
    if not models or (_alone(target) and lacking) or _lacks_its_own(target, models):
        return None
    measured = all(each[0].time is not None for each in options.values())
    open_to = {name: _open(each, measured) for name, each in options.items()}
    smallest = _smallest(open_to, measured)
    fastest = {n: _fastest(each) for n, each in open_to.items()} if measured else None
    if fastest is not None and not _gains(fastest):
        fastest = smallest
    unheld = tuple(n for n, each in open_to.items() if not any(o.holds for o in each[1:]))
    return Decision(
        grade=criterion.name,
        smallest=_set(smallest, measured),
        fastest=None if fastest is None else _set(fastest, measured),
        reasons=tuple(_reasons(results, target, criterion, smallest, fastest, unheld)),
        passed_over=tuple(_passed_over(options, open_to, smallest, fastest, measured)),
        unheld=unheld,
    )


def _alone(target: Target) -> bool:
    """Whether it takes its own recipes and no others."""
    own = target.own_recipes
    return bool(own) and target.instead is None and target.recipes == own


def _lacks_its_own(target: Target, models: Sequence[Model]) -> bool:
    """Whether nothing was made that tells it from the target that takes all the others."""
    if not target.own_recipes or target.instead is not None or _alone(target):
        return False
    return not any(v.usable and v.recipe in target.own_recipes for m in models for v in m.variants)


def _open(options: Sequence[Option], measured: bool) -> list[Option]:
    """What may be taken of a model: what holds the grade, else FP16; and always FP32."""
    source, *variants = options
    if measured:
        variants = [each for each in variants if each.time is not None]
    holding = [each for each in variants if each.holds]
    if not holding:
        holding = [
            each
            for each in variants
            if each.recipe in _FP16 and each.judgement.verdict == "cannot-tell"
        ]
    return [source, *holding]


def _smallest(open_to: Mapping[str, Sequence[Option]], measured: bool) -> _Parts:
    """The fewest bytes within FP32's time: of all ways to combine, those that no other beats."""
    if not measured:
        return {n: min(each, key=lambda o: o.bytes) for n, each in open_to.items()}
    ways = [_Way({})]
    for name, each in open_to.items():
        longer = [
            _Way(way.parts | {name: o}, way.bytes + o.bytes, way.seconds + _charged_s(o))
            for way in ways
            for o in each
        ]
        ways = _unbeaten(longer)
    allowed = sum(each[0].time.base_s for each in open_to.values() if each[0].time is not None)
    within = [way for way in ways if way.seconds <= allowed * (1 + SAME_RUN_MARGIN)]
    return min(within, key=lambda way: (way.bytes, way.seconds)).parts


def _unbeaten(ways: list[_Way]) -> list[_Way]:
    """Those of which no smaller one is as fast."""
    kept: list[_Way] = []
    for way in sorted(ways, key=lambda way: (way.bytes, way.seconds)):
        if not kept or way.seconds < kept[-1].seconds:
            kept.append(way)
    return kept


def _charged_s(option: Option) -> float:
    return 0.0 if option.time is None else option.time.base_s * option.time.counted


def _fastest(open_to: Sequence[Option]) -> Option:
    """The fastest of a model, the smallest of equals; where none is shown to be faster than FP32,
    the smallest that is no slower."""
    timed = [(each, each.time) for each in open_to if each.time is not None]
    faster = [(each, time) for each, time in timed if time.is_faster]
    if faster:
        _, best = min(faster, key=lambda pair: pair[1].ratio)
        equals = [each for each, time in faster if time.low <= best.high * (1 + SAME_RUN_MARGIN)]
    else:
        equals = [each for each, time in timed if time.counted <= 1 + SAME_RUN_MARGIN]
    return min(equals, key=lambda each: each.bytes)


def _gains(parts: _Parts) -> bool:
    """Whether any part is shown to be faster than FP32: else the smallest set is as fast."""
    return any(each.time is not None and each.time.is_faster for each in parts.values())


def _set(parts: _Parts, measured: bool) -> DecidedSet:
    recipes = {name: option.recipe for name, option in parts.items()}
    total = sum(option.bytes for option in parts.values())
    times = [option.time for option in parts.values() if option.time is not None]
    if not measured:
        return DecidedSet(recipes, total)
    noisy = any(not time.sure for time in times)
    pairs = [time.pair for time in times if time.pair is not None]
    if len(pairs) == len(times):
        found = summed_ratio(pairs)
        return DecidedSet(recipes, total, found.value, found.high, noisy)
    base_s = sum(time.base_s for time in times)
    ratio, high = (
        sum(time.base_s * each for time, each in zip(times, ends, strict=True)) / base_s
        for ends in ([time.ratio for time in times], [time.high for time in times])
    )
    return DecidedSet(recipes, total, ratio, high, noisy)


def _reasons(
    results: Results,
    target: Target,
    criterion: Criterion,
    smallest: _Parts,
    fastest: _Parts | None,
    unheld: Sequence[str],
) -> list[str]:
    made = [target.why] if target.why is not None else []
    if _alone(target) and not any(o.recipe in target.own_recipes for o in smallest.values()):
        made.append(f"nothing of it runs on {target.provider}: the CPU computes it")
    if unheld:
        made.append(f"no variant of {', '.join(unheld)} holds {criterion.name}: FP16, else FP32")
    chosen = [*smallest.items(), *(fastest or {}).items()]
    judged = {(name, o.recipe): o.judgement.text for name, o in chosen if o.recipe != FP32}
    made += [f"{name} {recipe}: {text}" for (name, recipe), text in judged.items()]
    if fastest is None:
        made.append("not measured there: the smallest")
    elif not _gains(fastest):
        made.append("nothing is shown to be faster than FP32")
    noisy = dict.fromkeys(n for n, o in chosen if o.time is not None and not o.time.sure)
    if noisy:
        made.append(
            f"noisy: the times of {', '.join(noisy)} show no gain, and may hide one: the machine "
            "was busy; once it is idle: give the same command with --time-again"
        )
    left = [m.name for m in counted(results.models) if not is_usable(m)]
    made += [f"without {name}: it has no usable variant" for name in left]
    return made


def _passed_over(
    options: Mapping[str, Sequence[Option]],
    open_to: Mapping[str, Sequence[Option]],
    smallest: _Parts,
    fastest: _Parts | None,
    measured: bool,
) -> list[PassedOver]:
    """What does not hold the grade, and what is smaller than what was taken but slower.

    FP16 that may be taken although nothing is shown of it was not left for its judgement.
    """
    found = []
    for name, each in options.items():
        taken = {smallest[name].recipe, *(() if fastest is None else (fastest[name].recipe,))}
        for option in each[1:]:
            if option.recipe in taken:
                continue
            if not option.holds and option not in open_to[name]:
                found.append(PassedOver(name, option.recipe, option.judgement.text))
            elif measured and option.bytes < smallest[name].bytes:
                found.append(PassedOver(name, option.recipe, _slower(option)))
    return found


def _slower(option: Option) -> str:
    if option.time is None:
        return "was not timed"
    found = f"takes {option.time.ratio:.2f} x FP32's time, up to {option.time.high:.2f}"
    return found if option.time.sure else f"may be slower: {found} (noisy)"
