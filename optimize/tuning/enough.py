"""Is there audio enough to show anything of a model? Asked before hours are spent on a search."""

from __future__ import annotations

from collections.abc import Iterable

from calibration.feeds.evidence import Evidence
from calibration.feeds.feedset import FeedSet
from optimize.tuning.goal import SearchGoal
from vampnet_models.errors import PromiseMissed
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.spec import CHAIN_ROLES, Role


def check_enough(
    artifact: Artifact, evaluation: FeedSet, evidence: Evidence, goal: SearchGoal
) -> None:
    """Raise PromiseMissed where not even a variant without any loss could be shown to hold.

    It says how much more audio is needed, or why no cost is known at all.
    """
    if artifact.role not in CHAIN_ROLES:
        return
    found = goal.judgement(artifact.role, _without_loss(artifact.role, evaluation, evidence))
    if found is None or found.verdict != "cannot-tell":
        return
    why = found.text
    if not (evidence.masked or evidence.passages):
        why = evidence.note or "no cost: of feeds of your own no recording is known"
    instead = "or bound something else: --min-agreement, --min-si-sdr"
    raise PromiseMissed(f"{artifact.name}: {why}; {instead}")


def _without_loss(role: Role, evaluation: FeedSet, evidence: Evidence) -> AccuracyReport:
    """What would be found of FP32 itself."""
    places = [each.place for each in evidence.masked or evidence.passages]
    costless = _figure(0.0, ((place.recording, place.piece) for place in places))
    transformer = role in (Role.COARSE, Role.C2F)
    return AccuracyReport(
        token_agreement=1.0,
        sampled_agreement=_figure(1.0, evaluation.sources) if transformer else None,
        cost_nats=costless if transformer and places else None,
        cost_log_mel_db=None if transformer or not places else costless,
    )


def _figure(value: float, clips: Iterable[tuple[str, str]]) -> Figure:
    known = set(clips)
    recordings = {recording: value for recording, _ in known}
    return Figure(value, value, value, value, n_clips=len(known), per_recording=recordings)
