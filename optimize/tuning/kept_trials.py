"""What blocks and mixtures of one model give on the search's feeds, each measured once."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from optimize.truth.accuracy import Truth
from optimize.tuning.goal import SearchGoal, damage_power, excess
from optimize.tuning.mixed import FLOAT, Assignment, Blocks, Calibrated
from optimize.tuning.refine import MOST_TRIALS, TARGETS, refined
from optimize.tuning.search import worst_damage
from optimize.tuning.sensitivity import Effect, Trials
from vampnet_models.cache import key_of
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.files import remembered_record
from vampnet_models.records.results import BlockOption
from vampnet_models.spec import Role

_TRIAL_FEEDS = 8
"""Each block is tried on so many of the search's feeds; mixtures are compared on all."""

_FIRST_SHARE = 0.1
"""Of the worst damage: the first guess of what a cost allows, which trials correct."""


@dataclass(frozen=True)
class KeptTrials:
    """Trials of one model, kept in files so that a search that was stopped goes on from there.

    Attributes:
        artifact: the float32 model.
        fused: the file of its fused form, which lends its weights to the trials.
        truth: what the float32 model answers to the feeds of the search.
        blocks: the nodes that get one precision together, by the block's name.
        calibrated: ranges and moments, measured once for all trials.
        key: a hash of all that a trial depends on beside its block and precision.
        cache: the folder where results are kept.
        reporter: told of progress, and of precisions that do not run.
    """

    artifact: Artifact
    fused: Path
    truth: Truth
    blocks: Blocks
    calibrated: Calibrated
    key: str
    cache: Path
    reporter: Reporter

    def effects(self, options: Mapping[str, tuple[str, ...]]) -> dict[str, list[Effect]]:
        """Each block in each precision; what an earlier search measured is not measured again.

        A precision that does not run is told and left out.
        """
        name = self.artifact.name
        found: dict[str, list[Effect]] = {}
        todo = [(b, p) for b, precisions in options.items() for p in precisions if p != FLOAT]
        n_kept = 0
        with self.reporter.task(f"{name}: {len(todo)} trials of {len(options)} blocks") as update:
            for done, (block, precision) in enumerate(todo):

                def measure(block: str = block, precision: str = precision) -> BlockOption:
                    return self._few.measure(block, precision).option

                key = key_of(self.key, precision, *self.blocks[block])
                path = self.cache / "sensitivity" / name / f"{key[:16]}.json"
                n_kept += path.is_file()
                each = found.setdefault(block, [Effect(block, FLOAT, 0.0, 1.0, 0, 1.0)])
                try:
                    each.append(Effect.of(remembered_record(BlockOption, path, key, measure)))
                except InputError as error:
                    self.reporter.warn(f"{name}: {block} as {precision}: {error}")
                update(done + 1, len(todo))
        if n_kept:
            self.reporter.keep(f"{n_kept} of {len(todo)} trials")
        return found

    def near_bound(self, effects: Mapping[str, list[Effect]], goal: SearchGoal) -> list[Assignment]:
        """The smallest mixtures that keep to the goal's bounds, and to tighter ones."""
        spec, done = self.artifact.spec, 0
        start = self._start(effects, goal)
        if start is None:
            return []
        name = self.artifact.name
        with self.reporter.task(f"{name}: mixtures near the bound") as update:

            def loss(mixture: Assignment) -> float:
                nonlocal done
                found = excess(spec, self._compared(mixture), goal)
                update(done := done + 1, MOST_TRIALS * len(TARGETS))
                return 0.0 if found is None else found

            power = damage_power(spec.role, goal)
            speed = 1.0 if goal.wants_speed else 0.0
            return list(refined(effects, self.artifact.bytes, loss, start, power, speed))

    @cached_property
    def _few(self) -> Trials:
        return Trials(self.fused, _first(self.truth, _TRIAL_FEEDS), self.blocks, self.calibrated)

    @cached_property
    def _all(self) -> Trials:
        return Trials(self.fused, self.truth, self.blocks, self.calibrated)

    def _compared(self, mixture: Assignment) -> AccuracyReport:
        given = [(p, *self.blocks[b]) for b, p in sorted(mixture.items()) if p != FLOAT]
        key = key_of(self.key, *given)
        path = self.cache / "mixtures" / self.artifact.name / f"{key[:16]}.json"
        return remembered_record(AccuracyReport, path, key, lambda: self._all.compare(mixture))

    def _start(self, effects: Mapping[str, list[Effect]], goal: SearchGoal) -> float | None:
        """The damage that the bounds seem to allow; None where nothing bounds this model."""
        if goal.criterion is not None:
            return _FIRST_SHARE * worst_damage(effects) or None
        some = [e for each in effects.values() for e in each[1:]]
        if self.artifact.role is Role.CODEC_DECODER or all(e.agreement is None for e in some):
            return 10 ** (-goal.min_si_sdr_db / 10) if some and goal.min_si_sdr_db else None
        least = goal.min_agreement
        if least is None and self.artifact.role is Role.CODEC_ENCODER:
            least = goal.min_first_agreement
        per_square = [
            e.damage / (1 - e.agreement) ** 2
            for e in some
            if e.agreement is not None and e.agreement < 1 and 0 < e.damage < math.inf
        ]
        if least is None or not some:
            return None
        if not per_square:
            # No block alone changes a token: the smallest mixture of all is the first guess.
            return worst_damage(effects) or None
        return (1 - least) ** 2 * statistics.median(per_square)


def _first(truth: Truth, count: int) -> Truth:
    """The truth about some feeds, spread evenly: the first are masked most."""
    step = max(1, len(truth.feeds) // count)
    some = slice(0, step * count, step)
    numbers = range(len(truth.feeds))[some]
    return replace(
        truth,
        feeds=truth.feeds[some],
        strata=truth.strata[some],
        steps=truth.steps[some],
        answers=truth.answers[some],
        floor=truth.floor[some],
        sources=truth.sources[some],
        costs=truth.costs.of_feeds(numbers, step),
    )
