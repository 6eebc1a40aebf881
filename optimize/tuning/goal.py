"""What the user of `tune` asks for, and what a comparison says about keeping to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from optimize.truth.grades import FAITHFUL, Criterion, Judgement, criterion_of, judge
from optimize.truth.status import Bounds
from optimize.tuning.search import Budget
from profiles.place import Place
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.tuning import Asked
from vampnet_models.spec import ModelSpec, Role

_TRANSFORMERS = (Role.COARSE, Role.C2F)

_MOST_LOST = 1e6
"""A loss that is recorded: JSON has no infinity."""


@dataclass(frozen=True, kw_only=True)
class SearchGoal(Asked):
    """What is asked for, and where candidates are timed.

    Attributes:
        target: the place.
        native: whether candidates may need the optional library; not by default.
        integers: whether products of 8-bit activations and weights are looked at: True by default.
    """

    target: Place
    native: bool = False
    integers: bool = True

    @property
    def criterion(self) -> Criterion | None:
        """What costs are held to; None where neither a grade nor a cost was asked for."""
        own = (self.min_sampled, self.max_cost_nats, self.max_cost_db)
        if self.grade is None and own == (None, None, None):
            return None
        return criterion_of(self.grade, Bounds(self.min_agreement, *own))

    @property
    def budget(self) -> Budget:
        """The bounds; losses count where they are multiples of what is allowed."""
        return Budget(
            self.min_agreement,
            self.min_si_sdr_db,
            self.max_bytes,
            self.max_latency,
            self.min_first_agreement,
            None if self.criterion is None else 1.0,
        )

    def judgement(self, role: Role, accuracy: AccuracyReport) -> Judgement | None:
        """By the grade or costs that were asked for; None without any."""
        criterion = self.criterion
        return None if criterion is None else judge(role.value, accuracy, criterion)

    @property
    def asked(self) -> Asked:
        """As it is recorded."""
        return Asked(**{field.name: getattr(self, field.name) for field in fields(Asked)})

    @property
    def wants_speed(self) -> bool:
        """Whether time counts beside size."""
        return self.prefer == "fastest" or self.max_latency is not None


def loss_of(spec: ModelSpec, accuracy: AccuracyReport, goal: SearchGoal) -> float:
    """1 - agreement for tokens, noise over signal for sound and numbers.

    Where a grade or costs were asked for: what is lost as a multiple of what is allowed.
    """
    if goal.criterion is not None:
        return min(excess(spec, accuracy, goal) or 0.0, _MOST_LOST)
    if accuracy.token_agreement is not None:
        return 1 - accuracy.token_agreement
    decibels = decibels_of(accuracy)
    decibels = accuracy.snr_db if decibels is None else decibels
    return 0.0 if decibels is None else float(10 ** (-decibels / 10))


def figures_of(spec: ModelSpec, accuracy: AccuracyReport, goal: SearchGoal) -> dict[str, Any]:
    """The fields of a candidate that a comparison tells."""
    return {
        "loss": loss_of(spec, accuracy, goal),
        "agreement": accuracy.token_agreement,
        "si_sdr_db": decibels_of(accuracy),
        "first_agreement": first_agreement(spec, accuracy),
        "sampled_agreement": accuracy.sampled_agreement,
        "cost_nats": accuracy.cost_nats,
        "cost_log_mel_db": accuracy.cost_log_mel_db,
    }


def decibels_of(accuracy: AccuracyReport) -> float | None:
    """What the bound in dB is about: SI-SDR of sound, SQNR of a generic model's worst number."""
    return accuracy.numbers_db if accuracy.si_sdr_db is None else accuracy.si_sdr_db


def damage_power(role: Role, goal: SearchGoal) -> float:
    """The power of the loss that damage grows with: tokens change as the root of the noise.

    A cost is damage itself.
    """
    if role in _TRANSFORMERS and goal.criterion is not None:
        costs_alone = goal.grade != FAITHFUL.name and goal.min_sampled is None
        return 1.0 if costs_alone and goal.min_agreement is None else 2.0
    costs = role is Role.CODEC_ENCODER and goal.criterion is not None
    return 1.0 if costs or role is Role.CODEC_DECODER else 2.0


def first_agreement(spec: ModelSpec, accuracy: AccuracyReport) -> float | None:
    """An encoder's agreement over the codebooks that the coarse model predicts."""
    if spec.role is not Role.CODEC_ENCODER:
        return None
    rows = [
        (row.agreement, row.n_positions)
        for row in accuracy.per_codebook
        if row.codebook < spec.lengths_of.n_coarse_codebooks and row.agreement is not None
    ]
    total = sum(n for _, n in rows)
    return sum(share * n for share, n in rows) / total if total else None


def excess(spec: ModelSpec, accuracy: AccuracyReport, goal: SearchGoal) -> float | None:
    """The loss as a multiple of what is allowed, by the tightest bound; at most 1 keeps to it.

    Of a grade or costs the end of the interval counts that judges them. None where nothing bounds
    what the model is judged by.
    """
    budget, judged = goal.budget, goal.judgement(spec.role, accuracy)
    found = [] if judged is None else [judged.used]
    for value, least in (
        (accuracy.token_agreement, budget.min_agreement),
        (first_agreement(spec, accuracy), budget.min_first_agreement),
    ):
        if value is not None and least is not None:
            found.append((1 - value) / (1 - least) if least < 1 else math.inf * (value < 1))
    decibels = decibels_of(accuracy)
    if decibels is not None and budget.min_si_sdr_db is not None:
        found.append(10 ** ((budget.min_si_sdr_db - decibels) / 10))
    if not found:
        return None
    return math.inf if accuracy.nonfinite else max(found)
