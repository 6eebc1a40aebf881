"""What the user of `tune` asks for, and what a comparison says about keeping to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from optimize.tuning.search import Budget
from profiles.place import Place
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.tuning import Asked
from vampnet_models.spec import ModelSpec, Role


@dataclass(frozen=True, kw_only=True)
class SearchGoal(Asked):
    """What is asked for, and where candidates are timed.

    Attributes:
        target: the place.
    """

    target: Place

    @property
    def budget(self) -> Budget:
        """The bounds."""
        return Budget(
            self.min_agreement,
            self.min_si_sdr_db,
            self.max_bytes,
            self.max_latency,
            self.min_first_agreement,
        )

    @property
    def asked(self) -> Asked:
        """As it is recorded."""
        return Asked(**{field.name: getattr(self, field.name) for field in fields(Asked)})

    @property
    def wants_speed(self) -> bool:
        """Whether time counts beside size."""
        return self.prefer == "fastest" or self.max_latency is not None


def loss_of(accuracy: AccuracyReport) -> float:
    """1 - agreement for tokens, noise over signal for sound and numbers."""
    if accuracy.token_agreement is not None:
        return 1 - accuracy.token_agreement
    decibels = decibels_of(accuracy)
    decibels = accuracy.snr_db if decibels is None else decibels
    return 0.0 if decibels is None else float(10 ** (-decibels / 10))


def decibels_of(accuracy: AccuracyReport) -> float | None:
    """What the bound in dB is about: SI-SDR of sound, SQNR of a generic model's worst number."""
    return accuracy.numbers_db if accuracy.si_sdr_db is None else accuracy.si_sdr_db


def damage_power(role: Role) -> float:
    """The power of the loss that damage grows with: tokens change as the root of the noise."""
    return 1.0 if role is Role.CODEC_DECODER else 2.0


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


def excess(spec: ModelSpec, accuracy: AccuracyReport, budget: Budget) -> float | None:
    """The loss as a multiple of what is allowed, by the tightest bound; at most 1 keeps to it.

    None where the budget bounds nothing that the model is judged by.
    """
    found: list[float] = []
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
