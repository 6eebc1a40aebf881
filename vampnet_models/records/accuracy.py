"""What a comparison of a variant with its reference found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CodebookShare:
    """Agreement of one codebook, its 95 % interval; `given_earlier` only for encoders."""

    codebook: int
    agreement: float | None
    floor: float | None
    given_earlier: float | None
    n_positions: int
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class RatioShare:
    """Agreement of the states whose mask ratio lies in the tenth that ends at `mask_ratio`."""

    mask_ratio: float
    agreement: float | None
    floor: float | None
    n_positions: int


@dataclass(frozen=True)
class StepShare:
    """Agreement of the states after `step` sampling steps, counted from 0."""

    step: int
    agreement: float | None
    floor: float | None
    n_positions: int


@dataclass(frozen=True)
class NearTies:
    """Positions where the reference itself hardly prefers its choice."""

    epsilon: float
    share: float
    agreement_excluding: float | None


@dataclass(frozen=True)
class BeatShare:
    """Beats or downbeats that both have: `recall` of the reference's, `precision` of its own."""

    kind: str
    recall: float | None
    precision: float | None
    n_reference: int
    n_variant: int


@dataclass(frozen=True)
class AccuracyReport:
    """All that was found; fields that do not apply to the role are None."""

    token_agreement: float | None = None
    floor: float | None = None
    interval: tuple[float, float] | None = None
    n_positions: int | None = 0
    per_codebook: tuple[CodebookShare, ...] = ()
    per_mask_ratio: tuple[RatioShare, ...] = ()
    per_step: tuple[StepShare, ...] = ()
    per_beat_kind: tuple[BeatShare, ...] = ()
    near_ties: NearTies | None = None
    logits_kl: float | None = None
    top5_containment: float | None = None
    si_sdr_db: float | None = None
    floor_si_sdr_db: float | None = None
    worst_si_sdr_db: float | None = None
    snr_db: float | None = None
    log_mel_db: float | None = None
    clipped: int | None = None
    nonfinite: int | None = 0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class FreeRun:
    """A model's own trajectories against the reference's, from the same prompts and seeds.

    kept: the share of generated tokens that end the same, 0 to 1; `per_step` after each step.
    first_divergence: the 0-based step of the first difference per prompt; None: there is none.
    undiverged: how many prompts ended without any difference.
    """

    kept: float
    per_step: tuple[float, ...]
    first_divergence: tuple[int | None, ...]
    n_tokens: int
    undiverged: int


@dataclass(frozen=True)
class FreeRunning:
    """The variant's run, and that of FP32 with other threads and optimizations: the floor."""

    variant: FreeRun
    floor: FreeRun
