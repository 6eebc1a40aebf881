"""What variants say on the device, against FP32 on the CPU: tokens, sampled agreement and costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.accuracy.judging import judged
from bench.cuda.setting import BASELINE, RECIPES, STEMS, Setting
from bench.printed import Printed
from calibration.feeds.chain_inputs import ChainInputs, prepare_inputs
from calibration.feeds.model_evidence import evidence_of
from calibration.feeds.model_feeds import EVALUATION, side_feeds
from calibration.feeds.source import Source
from optimize.build import build_variant
from optimize.recipes import find_recipe
from optimize.truth.accuracy import Truth, reference_truth
from optimize.truth.grades import grades_held
from vampnet_models.cache import Json
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import NotApplicable, WorkbenchError
from vampnet_models.onnxfile.artifact import Artifact, find_models, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.generic import as_json


def compare_tokens(setting: Setting, tell: Callable[[str], None]) -> Json:
    """Per model and row its accuracy and the grades that it holds; the baseline is a row too.

    FP32 on a GPU sums in another order, and may multiply in TF32.
    """
    folder = setting.heard or builtin_models(setting.work)
    artifacts = [open_artifact(path) for path in find_models(folder) if path.stem in STEMS]
    reporter = Printed()
    source = Source().of(artifacts, reporter).opened(artifacts, reporter)
    inputs = prepare_inputs(artifacts, source, setting.work / "inputs", 0, reporter)
    found: Json = {}
    for artifact in artifacts:
        tell(artifact.name)
        truth = _truth(artifact, inputs, setting.clips)
        rows = {BASELINE: _row(artifact, artifact.path, truth, setting)}
        for recipe in RECIPES:
            out = setting.work / "heard" / recipe / f"{artifact.name}.onnx"
            try:
                build_variant(artifact, find_recipe(recipe), out)
            except NotApplicable:
                continue
            except WorkbenchError as error:
                rows[recipe] = {"failed": str(error)}
                continue
            rows[recipe] = _row(artifact, out, truth, setting)
        found[artifact.name] = rows
    return found


def _truth(artifact: Artifact, inputs: ChainInputs, clips: int | None) -> Truth:
    side = EVALUATION
    if clips is not None:
        sizes = replace(side.sizes, clips=clips, coarse_states=clips, c2f_states=clips)
        side = replace(side, sizes=sizes, large_sizes=sizes)
    feeds = side_feeds(artifact, inputs, side, 0, Printed())
    evidence = evidence_of(artifact, inputs, feeds)
    return reference_truth(artifact, feeds.feeds, sources=feeds.sources, evidence=evidence)


def _row(artifact: Artifact, model: Path, truth: Truth, setting: Setting) -> Json:
    """What one model says on the device; `failed` where it does not run there."""
    opened = partial(
        open_session, model, providers=[setting.place.provider], portable_instead=False
    )
    try:
        accuracy = judged(truth, opened)
    except WorkbenchError as error:
        return {"failed": str(error)}
    grades = grades_held(artifact.role.value, accuracy)
    return {"grades": list(grades), "accuracy": as_json(accuracy)}
