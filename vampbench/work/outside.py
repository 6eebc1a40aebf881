"""A user's audio against the ranges that a variant was calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibration.feeds.chain_feeds import spread
from calibration.feeds.feedset import FeedSet
from calibration.ranges.collect import Terms, kept_calibration
from calibration.ranges.outside import Outside
from optimize.build import outside_ranges
from optimize.precision.contract import Needs
from optimize.recipes import RECIPES, Recipe
from vampbench.work.workspace import Workspace
from vampnet_models.cache import key_of
from vampnet_models.errors import NotApplicable, WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.progress import Reporter
from vampnet_models.records import results as records
from vampnet_models.records.files import remembered_record
from vampnet_models.records.results import Variant
from vampnet_models.spec import Role
from vampnet_models.text import percent

_MAX_FEEDS = 16
"""Feeds that are looked at: each is a run of the float model."""

_NAMED = 3

_Stored = dict[str, tuple[Outside, ...]]


def _find_outside(
    artifact: Artifact,
    recipe: Recipe,
    out: Path,
    calibration: FeedSet,
    evaluation: FeedSet,
    terms: Terms | None,
) -> tuple[Outside, ...]:
    """The tensors of which evaluation has values outside their ranges; none without ranges."""
    feeds = spread(evaluation.feeds, _MAX_FEEDS)
    return outside_ranges(artifact, recipe, out, calibration, feeds, terms)


def tell_outside(
    artifact: Artifact,
    recipe: Recipe,
    out: Path,
    calibration: FeedSet,
    evaluation: FeedSet,
    terms: Terms | None,
    reporter: Reporter,
) -> None:
    """Warn of what lies outside, or say that nothing does."""
    with reporter.task(f"{artifact.name}: looking at {evaluation.audio}"):
        found = _find_outside(artifact, recipe, out, calibration, evaluation, terms)
    if found:
        reporter.warn(f"{artifact.name}: {_outside_line(found, artifact.role)}")
    else:
        what = _fed_with(artifact.role)
        reporter.note(f"{artifact.name}: the evaluation {what} lies within the calibrated ranges")


def look_outside(
    artifact: Artifact,
    variants: Sequence[Variant],
    calibration: FeedSet,
    evaluation: FeedSet,
    space: Workspace,
    reporter: Reporter,
) -> tuple[records.Outside, ...]:
    """What the calibrated ones of a run's variants do not cover, remembered; told as a warning."""
    found: list[records.Outside] = []
    for recipe in (each for each in RECIPES if Needs.RANGES in each.precision.needs):
        made = next((v for v in variants if v.recipe == recipe.name and v.status == "ok"), None)
        if made is None or made.record is None or made.path is None:
            continue
        out = space.root / made.path

        def measure(recipe: Recipe = recipe, out: Path = out) -> _Stored:
            terms = kept_calibration(space.work("calibration"), artifact.name, recipe.name)
            text = f"{artifact.name}: evaluation data in {recipe.name}'s ranges"
            with contained(NotApplicable), reporter.task(text):
                each = _find_outside(artifact, recipe, out, calibration, evaluation, terms)
            return {"tensors": each}

        path = space.work("outside", f"{artifact.name}.{recipe.name}.json")
        key = key_of(artifact.sha256, made.record.sha256, evaluation.sha256)
        try:
            tensors = remembered_record(_Stored, path, key, measure)["tensors"]
        except (WorkbenchError, NotApplicable) as error:
            reporter.warn(f"{artifact.name}: {recipe.name}: ranges were not compared: {error}")
            continue
        found += [records.Outside(each.tensor, recipe.name, each.share) for each in tensors]
        if tensors:
            line = _outside_line(tensors, artifact.role)
            reporter.warn(f"{artifact.name}: {recipe.name}: {line}")
    return tuple(found)


def _fed_with(role: Role) -> str:
    return "data" if role is Role.GENERIC else "audio"


def _outside_line(found: Sequence[Outside], role: Role) -> str:
    """The worst tensors with their shares, and what to do."""
    worst = ", ".join(f"{o.tensor} {percent(o.share)}" for o in found[:_NAMED])
    more = f", {len(found) - _NAMED} more with less" if len(found) > _NAMED else ""
    what = _fed_with(role)
    return (
        f"the evaluation {what} lies outside the calibrated ranges of {len(found)} tensors, with "
        f"these shares of their values: {worst}{more}; calibrate on {what} like it"
    )
