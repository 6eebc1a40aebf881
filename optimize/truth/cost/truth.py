"""What a variant costs: of which kind that is, and what it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from calibration.feeds.evidence import Evidence
from optimize.truth.cost.codec import SoundTruth, sound_truth, with_costs_of_sound
from optimize.truth.cost.tokens import TokenTruth, cost_of_tokens, token_truth
from vampnet_models.errors import WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Progress
from vampnet_models.records.accuracy import AccuracyReport


@dataclass(frozen=True)
class CostTruth:
    """How near FP32 and the floor are to the recordings; `note` says why nothing is known of it."""

    tokens: TokenTruth | None = None
    sounds: SoundTruth | None = None
    note: str | None = None


def cost_truth(
    reference: Artifact,
    evidence: Evidence,
    answers: Sequence[Feeds],
    floor: Sequence[Feeds],
    *,
    floor_threads: int,
    progress: Progress | None = None,
) -> CostTruth:
    """Measure the reference and the floor by the evidence, where there is some.

    `answers` and `floor` are what both gave to the feeds that the evidence's passages name.
    """
    try:
        with contained():
            if evidence.masked:
                tokens = token_truth(
                    reference, evidence.masked, floor_threads=floor_threads, progress=progress
                )
                return CostTruth(tokens=tokens)
            if evidence.passages:
                return CostTruth(sounds=sound_truth(reference, evidence, answers, floor))
    except WorkbenchError as error:
        return CostTruth(note=f"no cost: {error}")
    return CostTruth(note=evidence.note)


def with_costs(
    report: AccuracyReport,
    truth: CostTruth,
    variant: Artifact,
    answers: Sequence[Feeds],
    progress: Progress | None = None,
) -> AccuracyReport:
    """The report with the variant's costs; of a codec by its answers, which the report judged.

    Raises InputError where the variant does not run.
    """
    if truth.tokens is not None:
        return replace(report, cost_nats=cost_of_tokens(truth.tokens, variant, progress))
    if truth.sounds is not None:
        return with_costs_of_sound(report, truth.sounds, answers)
    return report if truth.note is None else replace(report, notes=(*report.notes, truth.note))
