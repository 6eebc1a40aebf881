"""Variants x targets -> the `profiles` of results.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from profiles.count.examine import Examined, examine, feed_shapes
from profiles.count.music import rates
from profiles.measure.measure import DEFAULT_PLAN, measure
from profiles.measure.operators import profile_operators
from profiles.measure.records import Failure
from profiles.measure.roofline import measure_peaks, roofline
from profiles.measure.rounds import Plan
from profiles.target import CUDA, Kind, Target
from profiles.targets.cuda import measure_cuda, not_measured, unavailable
from profiles.targets.mobile import profile_mobile
from vampnet_models.errors import InputError
from vampnet_models.progress import StepProgress
from vampnet_models.shapes.tensor_shapes import Shape
from vampnet_models.spec import spec_of

REFERENCE = "reference"
"""How the model that the others are timed against is called."""

_Json = dict[str, Any]


def profile_variants(
    variants: Mapping[str, Path],
    feeds_path: Path,
    targets: Sequence[Target],
    *,
    plan: Plan = DEFAULT_PLAN,
    operators: bool = False,
    progress: StepProgress | None = None,
) -> dict[str, dict[str, _Json]]:
    """Profile {recipe: model file} of one role; the first one is the reference of the ratios.

    With `operators`, CPU measurements also say where the time goes (`operator_times`) and how far
    it is (`roofline`) from what this machine allows (`peaks`, measured first).

    Gives {recipe: {target name: record}}: `kind` is measurement, estimate, not-measured or
    failed. One variant that fails does not stop the others. Raises InputError when the feeds
    cannot be read.
    """
    shapes = feed_shapes(feeds_path)
    records: dict[str, dict[str, _Json]] = {recipe: {} for recipe in variants}
    for target in targets:
        tell = _prefixed(progress, target.name)
        if target.kind is Kind.CPU:
            found = _cpu(variants, feeds_path, shapes, target, plan, operators, tell)
        elif target.kind is Kind.CUDA:
            found = _cuda(variants, feeds_path, shapes, plan, tell)
        else:
            found = _each(variants, shapes, target, tell, lambda e: profile_mobile(e).as_json())
        for recipe, record in found.items():
            records[recipe][target.name] = record
    return records


def _cpu(
    variants: Mapping[str, Path],
    feeds_path: Path,
    shapes: Mapping[str, Shape],
    target: Target,
    plan: Plan,
    operators: bool,
    tell: StepProgress,
) -> dict[str, _Json]:
    peaks = None
    if operators:
        tell(0, 1, "this machine's peaks")
        peaks = measure_peaks(target)
    measured = measure(list(variants.items()), feeds_path, target, plan=plan, progress=tell)
    records = {}
    for recipe, record in measured.items():
        records[recipe] = record.as_json()
        if not isinstance(record, Failure):
            examined = examine(variants[recipe], shapes)
            median_s = record.summary.median
            records[recipe] |= _derived(examined, shapes, median_s)
            if peaks is not None:
                tell(0, 1, f"operators of {recipe}")
                found = profile_operators(variants[recipe], feeds_path, target)
                records[recipe]["operator_times"] = found.as_json()
                records[recipe]["peaks"] = peaks.as_json()
                records[recipe]["roofline"] = roofline(examined.cost, peaks, median_s).as_json()
    return records


def _cuda(
    variants: Mapping[str, Path],
    feeds_path: Path,
    shapes: Mapping[str, Shape],
    plan: Plan,
    tell: StepProgress,
) -> dict[str, _Json]:
    reason = unavailable()
    if reason is not None:
        return _each(variants, shapes, CUDA, tell, lambda e: not_measured(e, reason).as_json())
    examined: dict[str, Examined] = {}
    records: dict[str, _Json] = {}
    for recipe, path in variants.items():
        try:
            examined[recipe] = examine(path, shapes)
        except InputError as error:
            records[recipe] = Failure(CUDA.name, str(error)).as_json()
    models = [(recipe, variants[recipe]) for recipe in examined]
    try:
        measured = measure_cuda(models, examined, feeds_path, plan=plan, progress=tell)
    except InputError as error:
        # The provider is installed but its device or libraries are not there.
        why = f"no CUDA device can be used here: {error}"
        return records | {r: not_measured(e, why).as_json() for r, e in examined.items()}
    for recipe, record in measured.items():
        records[recipe] = record.as_json()
        if not isinstance(record, Failure):
            median_s = record.on_device.summary.median
            records[recipe] |= _derived(examined[recipe], shapes, median_s)
    return records


def _each(
    variants: Mapping[str, Path],
    shapes: Mapping[str, Shape],
    target: Target,
    tell: StepProgress,
    work: Callable[[Examined], _Json],
) -> dict[str, _Json]:
    """Look at one variant after the other, so that only one graph is in memory."""
    records = {}
    for done, (recipe, path) in enumerate(variants.items()):
        tell(done, len(variants), recipe)
        try:
            records[recipe] = work(examine(path, shapes))
        except InputError as error:
            records[recipe] = Failure(target.name, str(error)).as_json()
    tell(len(variants), len(variants), "done")
    return records


def _derived(examined: Examined, shapes: Mapping[str, Shape], seconds: float) -> _Json:
    return {
        **rates(spec_of(examined.model).role, shapes, seconds),
        "feed_shapes": {name: list(shape) for name, shape in shapes.items()},
        "flops": examined.cost.flops,
        "flops_per_s": examined.cost.flops / seconds,
        "flops_by_precision": examined.cost.flops_by("precision"),
    }


def _prefixed(progress: StepProgress | None, name: str) -> StepProgress:
    def tell(done: int, total: int, what: str) -> None:
        if progress is not None:
            progress(done, total, f"{name}: {what}")

    return tell
