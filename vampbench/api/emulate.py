"""What FP16 costs in tokens where every result is rounded, as a device with FP16 does."""

from __future__ import annotations

from calibration.feeds.model_feeds import evaluation_feeds_of
from optimize.build import build_variant
from optimize.precision.fp16.convert import Float16
from optimize.recipe_settings import fp16_recipe
from optimize.truth.accuracy import Truth, compare, reference_truth
from vampbench.api.bounds import typed
from vampbench.api.data import AnyData, as_source
from vampbench.api.models import AnyModel, as_artifact
from vampbench.api.progress import Heard, Listener
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.scratch import scratch_folder


@typed
def emulate_fp16(
    reference: AnyModel,
    variant: AnyModel,
    settings: Float16,
    data: AnyData = None,
    *,
    progress: Listener = None,
) -> dict[str, AccuracyReport]:
    """What rounding the weights alone costs, and what rounding every result does, by these names.

    x86 computes a float16 variant in float32: the first is what `verify` shows. `settings` are
    those that the variant was made with, and ranges where they were measured. Raises InputError as
    `verify` does.
    """
    heard = Heard(progress)
    fed_from = as_source(data, judging=True)
    source, made = (as_artifact(each, fed_from.sample_rate_hz) for each in (reference, variant))
    feeds = evaluation_feeds_of(source, fed_from, 0, heard).feeds
    keeping = Float16(settings.keep_nodes, settings.keep_ops, ranges=settings.ranges, emulated=True)
    with scratch_folder() as scratch:
        rounded = build_variant(source, fp16_recipe(keeping), scratch / f"{source.name}.onnx")
        with heard.task("reference answers") as update:
            truth = reference_truth(source, feeds, update)
        return {
            "weights rounded": _compared("weights rounded", truth, made, heard),
            "every result rounded": _compared(
                "every result rounded", truth, open_artifact(rounded.path), heard
            ),
        }


def _compared(title: str, truth: Truth, variant: Artifact, reporter: Reporter) -> AccuracyReport:
    with reporter.task(title) as update:
        return compare(truth, variant, update)
