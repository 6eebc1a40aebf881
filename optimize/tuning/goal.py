"""What the user of `tune` asks for, and what a comparison says about keeping to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optimize.tuning.search import Budget, Prefer
from profiles.place import Place
from vampnet_models.cache import Json
from vampnet_models.family import VAMPNET
from vampnet_models.spec import Role


@dataclass(frozen=True)
class SearchGoal:
    """Bounds on a set of models, and what to seek within them; a bound of None bounds nothing.

    Attributes:
        min_agreement: least share of equal tokens of each model, 0 to 1.
        min_si_sdr_db: least SI-SDR of the decoder's sound against float32's.
        max_bytes: most bytes of all models together.
        max_latency: most time of all models together, as a multiple of float32's.
        prefer: what is best among the sets that keep to the bounds.
        target: where candidates are timed.
        rounds: timed runs of each candidate; 10 by default.
        threads: of the runtime; 0, the default, leaves it the choice.
        min_first_agreement: least share of equal tokens of an encoder's first four codebooks.
    """

    min_agreement: float | None
    min_si_sdr_db: float | None
    max_bytes: int | None
    max_latency: float | None
    prefer: Prefer
    target: Place
    rounds: int = 10
    threads: int = 0
    min_first_agreement: float | None = None

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
    def wants_speed(self) -> bool:
        """Whether time counts beside size."""
        return self.prefer == "fastest" or self.max_latency is not None


def loss_of(accuracy: Json) -> float:
    """1 - agreement for tokens, noise over signal for sound."""
    if accuracy["token_agreement"] is not None:
        return float(1 - accuracy["token_agreement"])
    decibels = accuracy["si_sdr_db"] if accuracy["si_sdr_db"] is not None else accuracy["snr_db"]
    return 0.0 if decibels is None else float(10 ** (-decibels / 10))


def damage_power(role: Role) -> float:
    """The power of the loss that damage grows with: tokens change as the root of the noise."""
    return 1.0 if role is Role.CODEC_DECODER else 2.0


def first_agreement(role: Role, accuracy: Json) -> float | None:
    """An encoder's agreement over the codebooks that the coarse model predicts."""
    if role is not Role.CODEC_ENCODER:
        return None
    rows = [r for r in accuracy["per_codebook"] if r["codebook"] < VAMPNET.n_coarse_codebooks]
    total = sum(r["n_positions"] for r in rows)
    return sum(r["agreement"] * r["n_positions"] for r in rows) / total if total else None


def excess(role: Role, accuracy: Json, budget: Budget) -> float | None:
    """The loss as a multiple of what is allowed, by the tightest bound; at most 1 keeps to it.

    None where the budget bounds nothing that the model is judged by.
    """
    found: list[float] = []
    for value, least in (
        (accuracy["token_agreement"], budget.min_agreement),
        (first_agreement(role, accuracy), budget.min_first_agreement),
    ):
        if value is not None and least is not None:
            found.append((1 - value) / (1 - least) if least < 1 else math.inf * (value < 1))
    if accuracy["si_sdr_db"] is not None and budget.min_si_sdr_db is not None:
        found.append(10 ** ((budget.min_si_sdr_db - accuracy["si_sdr_db"]) / 10))
    if not found:
        return None
    return math.inf if accuracy["nonfinite"] else max(found)
