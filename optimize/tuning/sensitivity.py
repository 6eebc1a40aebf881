"""What each block costs in each precision while the rest stays float32.

No model is written: the fused float32 file lends its weights to a session whose graph holds the
one converted block, so that a trial costs a load and a few runs. Times are ratios of runs taken in
turn with the float32 session.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Evidence
from optimize.surgery.stand_ins import restore
from optimize.truth.accuracy import Truth, judge
from optimize.truth.answers import reduce_answer
from optimize.tuning import mixed
from optimize.tuning.mixed import Assignment, Blocks, Calibrated
from vampnet_models.onnxfile.artifact import load_model, weights_bytes
from vampnet_models.onnxfile.session import Feeds, Session, open_session
from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.records.results import BlockOption

_FOLDER_KEY = "session.model_external_initializers_file_folder_path"


_TIMED_FEEDS = 3
"""Feeds that the float32 model runs again beside a trial, for the ratio of their times."""


@dataclass(frozen=True)
class Effect:
    """One block in one precision.

    `damage` adds up over blocks to a first order: nats of KL for a transformer with logits, noise
    over signal for sound and other floats, the squared share of changed tokens otherwise (the
    share grows with the noise, its square with the power of the noise); where costs are measured,
    see `_damage_of_cost`. `saved_bytes` is against float32, `time_ratio` the whole model's time
    against float32 (median of runs in turn). `sampled_agreement` and `cost` are None, the default,
    where a search does not measure them.
    """

    block: str
    precision: str
    damage: float
    agreement: float | None
    saved_bytes: int
    time_ratio: float
    sampled_agreement: float | None = None
    cost: float | None = None

    @property
    def option(self) -> BlockOption:
        """As it is recorded: JSON has no infinity."""
        damage = self.damage if math.isfinite(self.damage) else None
        return BlockOption(**{**vars(self), "damage": damage})

    @classmethod
    def of(cls, option: BlockOption) -> Effect:
        """What `option` recorded."""
        damage = math.inf if option.damage is None else option.damage
        return cls(**{**vars(option), "damage": damage})


class Trials:
    """The fused float32 model and the truth that each trial is compared with."""

    def __init__(self, fused: Path, truth: Truth, blocks: Blocks, calibrated: Calibrated) -> None:
        self._fused, self._truth, self._blocks = fused, truth, blocks
        self._calibrated = calibrated
        self._traits = calibrated.traits

    @cached_property
    def _base_bytes(self) -> int:
        """What a mixture weighs where every block stays float32."""
        return weights_bytes(self._mixture({}))

    @cached_property
    def _base(self) -> Session:
        return open_session(self._fused)

    def measure(self, block: str, precision: str) -> Effect:
        """Convert that block alone and run every feed. Raises InputError if it cannot run."""
        session, n_bytes = self._converted({block: precision})
        ratios: list[float] = []
        report = judge(self._truth, self._answers(session, ratios), lambda: session)
        sampled = report.sampled_agreement
        return Effect(
            block,
            precision,
            _damage_of(report),
            report.token_agreement,
            self._base_bytes - n_bytes,
            float(np.median(ratios)),
            sampled_agreement=None if sampled is None else sampled.value,
            cost=None if report.cost is None else report.cost[0].value,
        )

    def compare(self, assignment: Assignment) -> AccuracyReport:
        """Convert every block as assigned and run every feed. Raises InputError likewise."""
        session, _ = self._converted(assignment)
        return judge(self._truth, self._answers(session, None), lambda: session)

    def _mixture(self, assignment: Assignment) -> ir.Model:
        model = load_model(self._fused)
        mixture = mixed.Mixture(self._blocks, assignment, self._calibrated)
        mixture.apply(model, mixture.plan(model.graph, self._traits), Evidence())
        restore(model)
        return model

    def _converted(self, assignment: Assignment) -> tuple[Session, int]:
        model = self._mixture(assignment)
        graph = ir.to_proto(model).SerializeToString()
        folder = str(self._fused.resolve().parent)
        return open_session(graph, config={_FOLDER_KEY: folder}), weights_bytes(model)

    def _answers(self, session: Session, ratios: list[float] | None) -> Iterator[Feeds]:
        spec = self._truth.reference.spec
        for index, feed in enumerate(self._truth.feeds):
            if ratios is None or index >= _TIMED_FEEDS:
                ours = session.run(feed)
            else:
                ours, ratio = self._in_turn(session, feed, ours_first=index % 2 == 1)
                ratios.append(ratio)
            yield reduce_answer(spec, feed, ours, True, False)

    def _in_turn(self, session: Session, feed: Feeds, *, ours_first: bool) -> tuple[Feeds, float]:
        """Each goes first every other time: what runs second finds warmer caches."""
        taken_s = {}
        for each in (session, self._base) if ours_first else (self._base, session):
            started_s = time.perf_counter()
            outputs = each.run(feed)
            taken_s[each is session] = time.perf_counter() - started_s
            if each is session:
                ours = outputs
        return ours, taken_s[True] / taken_s[False]


def _damage_of(report: AccuracyReport) -> float:
    """How much a variant loses, in a unit that is zero for none and adds up over blocks."""
    if report.nonfinite:
        return float("inf")
    if report.cost is not None and report.cost[0].value is not None:
        return _damage_of_cost(report, report.cost[0])
    if report.logits_kl is not None:
        return report.logits_kl
    if report.snr_db is not None:
        return float(10 ** (-report.snr_db / 10))
    return 0.0 if report.token_agreement is None else (1 - report.token_agreement) ** 2


def _damage_of_cost(report: AccuracyReport, cost: Figure) -> float:
    """What a block's cost says of its damage, in the unit of the cost.

    Of few states a block's cost is mostly chance, and as often a gain. So a transformer's damage
    is its KL, which it would cost if the recordings were drawn from FP32 itself, or the lower end
    of its cost where that is shown to be more. Of a codec it is the mean change of the distance to
    a recording, either way: what cancels out does so by chance.
    """
    if report.logits_kl is not None:
        return max(report.logits_kl, cost.low or 0.0)
    return float(np.mean([abs(change) for change in cost.per_recording.values()]))
