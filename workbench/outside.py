"""A user's audio against the ranges that a variant was calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibration.collect import Terms
from calibration.feeds import FeedSet, spread
from calibration.outside import Outside
from optimize.build import outside_ranges
from optimize.recipes import Recipe
from vampnet_models.artifact import Artifact
from workbench.console import Voice, percent

MAX_FEEDS = 16
"""Feeds that are looked at: each is a run of the float model."""

NAMED = 3


def find_outside(
    artifact: Artifact,
    recipe: Recipe,
    out: Path,
    calibration: FeedSet,
    evaluation: FeedSet,
    terms: Terms | None,
) -> tuple[Outside, ...]:
    """The tensors of which evaluation has values outside their ranges; none without ranges."""
    if recipe.limits is None:
        return ()
    feeds = spread(evaluation.feeds, MAX_FEEDS)
    return outside_ranges(artifact, recipe, out, calibration, feeds, terms)


def tell_outside(
    artifact: Artifact,
    recipe: Recipe,
    out: Path,
    calibration: FeedSet,
    evaluation: FeedSet,
    terms: Terms | None,
    voice: Voice,
) -> None:
    """Warn of what lies outside, or say that nothing does."""
    with voice.task(f"{artifact.name}: looking at {evaluation.audio}"):
        found = find_outside(artifact, recipe, out, calibration, evaluation, terms)
    if found:
        voice.warn(f"{artifact.name}: {outside_line(found)}")
    else:
        voice.say(f"{artifact.name}: the evaluation audio lies within the calibrated ranges")


def outside_line(found: Sequence[Outside]) -> str:
    """The worst tensors with their shares, and what to do."""
    worst = ", ".join(f"{o.tensor} {percent(o.share)}" for o in found[:NAMED])
    more = f", and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return (
        f"the evaluation audio lies outside the calibrated ranges of {len(found)} tensors "
        f"({worst}{more} of their values): calibrate on audio like it"
    )
