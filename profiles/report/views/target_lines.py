"""A sentence per target: what was measured or estimated there, and what that says."""

from __future__ import annotations

from collections.abc import Sequence

from profiles.measure.stats import Verdict
from profiles.report.views.choices import counted, recipes_of
from profiles.report.views.units import NBSP, plural, ratio_text, seconds_range
from profiles.targets.order import profilers
from vampnet_models.records.profiles import (
    Estimate,
    Failure,
    Measurement,
    NotMeasured,
    Profile,
    measured_on,
)
from vampnet_models.records.results import Results

_Span = tuple[float, float]
"""The low and the high end of an estimate, in seconds."""


def target_line(run: Results, target: str) -> tuple[str, str, str]:
    """(target as shown, kind, sentence) of one target."""
    shown = title_of(target)
    profiles = [v.profiles.get(target) for m in run.models for v in m.variants if v.usable]
    present = [p for p in profiles if isinstance(p, Measurement | Estimate)]
    measured = [p for p in present if isinstance(p, Measurement)]
    if measured:
        of = f"{len(measured)} of {plural(len(profiles), 'variant')}"
        names = ", ".join(sorted({p.target for p in measured}))
        return shown, "measurement", f"measured for {of} on {names}{_speed(run, target)}"
    guess = _guess(run, target)
    if present:
        of = f"{len(present)} of {plural(len(profiles), 'variant')}"
        return shown, "estimate", f"estimated, not measured, for {of}{guess and '; ' + guess}"
    guess = guess and f"; estimate: {guess}"
    return shown, "absent", f"not measured; {how_to_measure(target, profiles)}{guess}"


def _speed(run: Results, target: str) -> str:
    """The largest gain whose interval leaves the noise, in words."""
    measured = [
        (p, v.recipe, m.name)
        for m in run.models
        for v in m.variants
        if v.usable and (p := measured_on(v.profiles, target)) is not None
    ]
    noisy = sum(p.noisy for p, _, _ in measured)
    caution = f"; {noisy} of them noisy, see the warnings" if noisy else ""
    gains = [
        (p.ratio_to_reference, p.ratio_interval, recipe, name)
        for p, recipe, name in measured
        if p.ratio_to_reference is not None and p.verdict == Verdict.FASTER
    ]
    if not gains:
        return f"; none is faster than FP32 beyond the noise{caution}"
    ratio, interval, recipe, name = min(gains, key=lambda g: g[0])
    span = f" ({interval[0]:.2f}\u2013{interval[1]:.2f})" if interval else ""
    best = f"{recipe} on {name}, {ratio_text(ratio)}{span} the FP32 time"
    return f"; the largest gain is {best}{caution}"


def _guess(run: Results, target: str) -> str:
    """What one call of each model is estimated to take: in FP32, and by the quickest recipe."""
    models = counted(run)
    before = _summed([m.profiles.get(target) for m in models])
    spans = []
    for recipe in recipes_of(run):
        own = [{v.recipe: v.profiles.get(target) for v in m.variants if v.usable} for m in models]
        span = _summed([profiles.get(recipe) for profiles in own])
        if span is not None:
            spans.append((span, recipe))
    if not spans:
        return ""
    (low, high), recipe = min(spans, key=lambda s: sum(s[0]))
    against = f", against ≈{NBSP}{seconds_range(*before)} in FP32" if before else ""
    return f"one call of each model takes ≈{NBSP}{seconds_range(low, high)} with {recipe}{against}"


def _summed(profiles: Sequence[Profile | None]) -> _Span | None:
    """The ends of all estimates added up; None where one is missing."""
    spans = [estimate_of(p) for p in profiles]
    known = [s for s in spans if s is not None]
    if not known or len(known) < len(spans):
        return None
    return sum(low for low, _ in known), sum(high for _, high in known)


def estimate_of(profile: Profile | None) -> _Span | None:
    """The range that a profile estimates, over its devices where it names several."""
    if isinstance(profile, Estimate):
        low, high = profile.low_s, profile.high_s
        return None if low is None or high is None else (low, high)
    if not isinstance(profile, NotMeasured) or not profile.estimates:
        return None
    return min(e.low_s for e in profile.estimates), max(e.high_s for e in profile.estimates)


def how_to_measure(target: str, profiles: Sequence[Profile | None]) -> str:
    """What to do for numbers of this target: the profile's own remedy, or the usual one."""
    for profile in profiles:
        said = []
        if isinstance(profile, NotMeasured):
            said = [text for text in (profile.reason, profile.remedy) if text]
        if isinstance(profile, Failure):
            said = [profile.reason]
        if said:
            return "; ".join(said)
    usual = {each.name: each.remedy for each in profilers()}
    return usual.get(target, f"run: vampbench profile MODEL... --target {target}")


def title_of(target: str) -> str:
    """How a report calls the figures under this key of `profiles`."""
    return {each.name: each.title for each in profilers()}.get(target, target)
