"""The built-in models in some recipes, and short inputs of theirs: what emulators are fed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.printed import Printed
from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.lengths import short_states
from calibration.feeds.model_feeds import CALIBRATION, EVALUATION, side_feeds
from calibration.feeds.source import Source
from optimize.build import build_variant
from optimize.recipes import Recipe
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import NotApplicable
from vampnet_models.onnxfile.artifact import Artifact, find_models, open_artifact
from vampnet_models.onnxfile.session import Feeds


@dataclass(frozen=True)
class Small:
    """A built-in model, its variants by recipe, and its short evaluation states."""

    source: Artifact
    variants: dict[str, Path]
    states: list[Feeds]


def small_variants(
    folder: Path, recipes: Sequence[Recipe], sizes: dict[str, tuple[int, int]]
) -> list[Small]:
    """Build what is missing below `folder`; `sizes` are (frames, states) by model name."""
    reporter = Printed()
    artifacts = [open_artifact(path) for path in find_models(builtin_models(folder))]
    found = []
    with tempfile.TemporaryDirectory(prefix="vampbench-") as scratch:
        inputs = prepare_inputs(artifacts, Source(), Path(scratch), 0, reporter)
        for artifact in artifacts:
            if artifact.name not in sizes:
                continue
            calibration = side_feeds(artifact, inputs, CALIBRATION, 0, reporter)
            evaluation = side_feeds(artifact, inputs, EVALUATION, 0, reporter)
            variants = {}
            for recipe in recipes:
                out = folder / recipe.name / artifact.path.name
                try:
                    build_variant(
                        artifact,
                        recipe,
                        out,
                        calibration=calibration if recipe.needs_calibration else None,
                    )
                except NotApplicable:
                    continue
                variants[recipe.name] = out
            frames, states = sizes[artifact.name]
            short = short_states(artifact, evaluation.feeds, frames, states)
            found.append(Small(artifact, variants, short))
    return found
