"""What the evaluation answers, as plain data; importing it needs no torch."""

from __future__ import annotations

from typing import TypedDict


class CodecFigures(TypedDict):
    """Figures of one recording, by number of codebooks where they depend on it.

    `level_slope` and `frame_buzz_db` (the recording's own beside it): see `modulation`."""

    si_sdr_db: dict[str, float]
    log_mel_db: dict[str, float]
    level_slope: dict[str, float]
    frame_buzz_db: dict[str, float]
    own_frame_buzz_db: float
    untrained_si_sdr_db: float
    untrained_log_mel_db: float
    silence_log_mel_db: float


class TokenFigures(TypedDict):
    """Means over masked positions, every place of the schedule weighing the same.

    `unigram_nats`: the cross-entropy of the training side's unigram; `own_entropy_nats`: the
    entropy of these tracks' own unigram, a harder yardstick; gains are what the model is below.
    `near_ties`: the share of positions whose two best logits are less than 0.1 nats apart."""

    cross_entropy_nats: float
    unigram_nats: float
    own_entropy_nats: float
    chance_nats: float
    gain_nats: float
    own_gain_nats: float
    near_ties: float
    accuracy: float
    unigram_accuracy: float
    positions: int


class StageFigures(TypedDict):
    """One training stage as its log tells it; `scores` are the figures of every validation.

    `losses`: means of the first, middle and last hundred steps; `best_step`: whose averaged
    weights were kept."""

    steps: int
    wall_s: float
    losses: list[float]
    scores: list[dict[str, float]]
    best_step: int


class Figures(TypedDict):
    """Everything that the model card tells: by recording, by side, by model and side, by stage."""

    codec: dict[str, CodecFigures]
    usage: dict[str, list[float]]
    usage_held_out: dict[str, list[float]]
    tokens: dict[str, TokenFigures]
    stages: dict[str, StageFigures]
