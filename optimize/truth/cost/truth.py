"""What a variant costs: of which kind that is, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from calibration.feeds.evidence import Evidence
from optimize.truth.cost.codec import SoundTruth, sound_truth, with_costs_of_sound
from optimize.truth.cost.tokens import TokenTruth, cost_of_tokens, token_truth
from vampnet_models.errors import WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Feeds, Session
from vampnet_models.progress import Progress
from vampnet_models.records.accuracy import AccuracyReport


@dataclass(frozen=True)
class CostTruth:
    """How near FP32 and the floor are to the recordings; `note` says why nothing is known of it."""

    tokens: TokenTruth | None = None
    sounds: SoundTruth | None = None
    note: str | None = None

    def of_feeds(self, feeds: Sequence[int], share: int) -> CostTruth:
        """The truth about some feeds, and about one in `share` of a transformer's states."""
        # The states' ratios follow each other in turn: an odd step meets more of them.
        tokens = None if self.tokens is None else self.tokens.every(share | 1)
        sounds = None if self.sounds is None else self.sounds.of_feeds(feeds)
        return replace(self, tokens=tokens, sounds=sounds)


def cost_truth(
    reference: Artifact,
    evidence: Evidence,
    answers: Sequence[Feeds],
    floor: Sequence[Feeds],
    progress: Progress | None = None,
) -> CostTruth:
    """Measure the reference and the floor by the evidence, where there is some.

    `answers` and `floor` are what both gave to the feeds that the evidence's passages name.
    """
    try:
        with contained():
            if evidence.masked:
                return CostTruth(tokens=token_truth(reference, evidence.masked, progress))
            if evidence.passages:
                return CostTruth(sounds=sound_truth(reference, evidence, answers, floor))
    except WorkbenchError as error:
        return CostTruth(note=f"no cost: {error}")
    return CostTruth(note=evidence.note)


def with_costs(
    report: AccuracyReport,
    truth: CostTruth,
    variant: Callable[[], Session],
    answers: Sequence[Feeds],
    progress: Progress | None = None,
) -> AccuracyReport:
    """The report with the variant's costs; of a codec by its answers, which the report judged.

    `variant` opens it, where its answers do not do. Raises InputError where it does not run.
    """
    if truth.tokens is not None:
        return replace(report, cost_nats=cost_of_tokens(truth.tokens, variant(), progress))
    if truth.sounds is not None:
        return with_costs_of_sound(report, truth.sounds, answers)
    return report if truth.note is None else replace(report, notes=(*report.notes, truth.note))
