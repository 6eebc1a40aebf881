"""What each block costs in each precision while the rest stays float32.

No model is written: the fused float32 file lends its weights to a session whose graph holds the
one converted block, so that a trial costs a load and a few runs. Times are ratios of runs taken in
turn with the float32 session.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from optimize import mixed
from optimize.accuracy import Truth, judge
from optimize.accuracy_report import AccuracyReport
from optimize.answers import reduce_answer
from optimize.mixed import Blocks
from optimize.precision.int8_conv import RangeLike
from vampnet_models.artifact import load_model, weights_bytes
from vampnet_models.session import Feeds, Session, open_session

FOLDER_KEY = "session.model_external_initializers_file_folder_path"


@dataclass(frozen=True)
class Effect:
    """One block in one precision.

    `damage` adds up over blocks to a first order: nats of KL for a transformer with logits, noise
    over signal for sound and other floats, the share of changed tokens otherwise. `saved_bytes` is
    against float32, `time_ratio` the whole model's time against float32 (median of runs in turn).
    """

    block: str
    precision: str
    damage: float
    agreement: float | None
    saved_bytes: int
    time_ratio: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Trials:
    """The fused float32 model, open, and the truth that each trial is compared with."""

    def __init__(
        self, fused: Path, truth: Truth, blocks: Blocks, ranges: Mapping[str, RangeLike]
    ) -> None:
        self._fused, self._truth, self._blocks, self._ranges = fused, truth, blocks, ranges
        self._base = open_session(fused)
        self._base_bytes = weights_bytes(load_model(fused))

    def measure(self, block: str, precision: str) -> Effect:
        """Convert that block alone and run every feed. Raises InputError if it cannot run."""
        model = load_model(self._fused)
        mixed.convert(model, self._blocks, {block: precision}, self._ranges)
        n_bytes = weights_bytes(model)
        ratios: list[float] = []
        report = judge(self._truth, self._answers(self._session(model), ratios))
        return Effect(
            block,
            precision,
            damage_of(report),
            report.token_agreement,
            self._base_bytes - n_bytes,
            float(np.median(ratios)),
        )

    def _session(self, model: ir.Model) -> Session:
        graph = ir.to_proto(model).SerializeToString()
        return open_session(graph, config={FOLDER_KEY: str(self._fused.resolve().parent)})

    def _answers(self, session: Session, ratios: list[float]) -> Iterator[Feeds]:
        spec = self._truth.reference.spec
        for index, feed in enumerate(self._truth.feeds):
            taken_s = {}
            # Each goes first every other time: what runs second finds warmer caches.
            order: Sequence[Session] = (self._base, session)[:: 1 if index % 2 else -1]
            for each in order:
                started_s = time.perf_counter()
                outputs = each.run(feed)
                taken_s[each is session] = time.perf_counter() - started_s
                if each is session:
                    ours = outputs
            ratios.append(taken_s[True] / taken_s[False])
            yield reduce_answer(spec, feed, ours, True, False)


def damage_of(report: AccuracyReport) -> float:
    """How much a variant loses, in a unit that is zero for none and adds up over blocks."""
    if report.nonfinite:
        return float("inf")
    if report.logits_kl is not None:
        return report.logits_kl
    if report.snr_db is not None:
        return float(10 ** (-report.snr_db / 10))
    return 0.0 if report.token_agreement is None else 1 - report.token_agreement
