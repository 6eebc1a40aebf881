"""A stage's log in a few figures, and the card's tables made of them."""

from __future__ import annotations

import json

import pytest

from tests.training.test_aims import result
from training.figures.card import card_parts
from training.figures.curves import stage_figures


def _log(steps: int) -> list[str]:
    """A loss that is the step's hundred, judged at half and at the end; the middle was best."""
    lines = [{"step": step, "loss": step / 100.0} for step in range(20, steps + 1, 20)]
    half, score = steps // 2, {"si_sdr_db": 2.0, "log_mel_db": 4.0, "score": 1.0}
    lines.insert(half // 20, {"step": half, "wall_s": 60.0, **score})
    lines.append({"step": steps, "wall_s": 150.0, **score, "si_sdr_db": 3.0, "score": 0.5})
    return [json.dumps(line) for line in lines]


def test_a_log_becomes_means_at_three_places_and_its_validations() -> None:
    found = stage_figures(_log(1000))
    assert found["steps"] == 1000
    assert found["wall_s"] == 150.0
    assert found["best_step"] == 500
    # Means of (0, 100], (450, 550] and (900, 1000], in steps of 20.
    assert found["losses"] == pytest.approx([0.6, 5.0, 9.6])
    assert found["scores"] == [
        {"step": 500, "si_sdr_db": 2.0, "log_mel_db": 4.0},
        {"step": 1000, "si_sdr_db": 3.0, "log_mel_db": 4.0},
    ]


def test_a_log_without_a_validation_is_refused() -> None:
    with pytest.raises(ValueError, match="no validation"):
        stage_figures(_log(1000)[:10])


def test_a_stage_is_a_row_with_its_curve() -> None:
    row = {"cross_entropy_nats": 5.0, "own_entropy_nats": 6.0, "unigram_nats": 7.0, "accuracy": 0.1}
    heard = {"level_slope": {"14": 1.0, "4": 0.9}, "frame_buzz_db": {"14": -1.0, "4": 2.0}}
    heard |= dict.fromkeys(
        ("own_frame_buzz_db", "untrained_si_sdr_db", "untrained_log_mel_db", "silence_log_mel_db"),
        20.0,
    )
    figures = result() | {"stages": {"joint": stage_figures(_log(1000))}}
    figures["tokens"] = {name: each | row for name, each in figures["tokens"].items()}
    figures["codec"] = {name: each | heard for name, each in figures["codec"].items()}
    parts = card_parts(figures)
    assert parts["card-stages"].splitlines()[2:] == [
        "| joint | 1,000 | 2 | 0.60, 5.00, 9.60 | SI-SDR dB 2.00, 3.00; log-mel dB 4.00, 4.00 |"
    ]
    assert "| brahms, 4 codebooks | -9.00 | 9.00 | 0.90 | 2.0 (20.0) |" in parts["card-codec"]
    assert parts["card-tokens"].splitlines()[2] == (
        "| coarse, works | 5.00 | 6.00 | 7.00 | 1.00 | 10.0% | 10% |"
    )
    assert parts["card-usage"].splitlines()[2].endswith(" 900 | 650 |")
    assert parts["card-aims"].startswith("- reached brahms: SI-SDR 9.00 dB")
