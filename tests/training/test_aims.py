"""Aims are told, thresholds are enforced."""

from __future__ import annotations

from typing import Any

import pytest

from training.figures.aims import aims, missed

SIDES = ("works", "brahms", "trumpet", "speech")


def result(
    si_sdr_db: float = 9.0,
    log_mel_db: float = 2.9,
    share: float = 0.9,
    perplexity: float = 650.0,
    gain_nats: float = 1.0,
    near_ties: float = 0.1,
) -> dict[str, Any]:
    row = {"si_sdr_db": {"14": si_sdr_db, "4": -9.0}, "log_mel_db": {"14": log_mel_db, "4": 9.0}}
    token_row = {"gain_nats": gain_nats, "own_gain_nats": gain_nats, "near_ties": near_ties}
    used = {"share": [share] * 14, "perplexity": [900.0] * 13 + [perplexity]}
    return {
        "codec": dict.fromkeys(("brahms", "trumpet", "speech"), row),
        "usage": used,
        "usage_held_out": used,
        "tokens": {f"{name}, {side}": token_row for name in ("coarse", "c2f") for side in SIDES},
    }


def test_everything_reached_is_told_and_nothing_is_missed() -> None:
    lines = aims(result())
    assert len(lines) == 9
    assert all(line.startswith("reached") for line in lines)
    assert missed(result()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"si_sdr_db": 5.5}, ["brahms: SI-SDR 5.50 dB, aim 8.0", "speech: SI-SDR 5.50 dB, aim 6"]),
        ({"log_mel_db": 3.1}, ["brahms: log-mel 3.10 dB", "trumpet: log-mel 3.10 dB"]),
        ({"perplexity": 599.0}, ["worst perplexity 599 on held-out works"]),
        ({"gain_nats": 0.85}, ["coarse, works: 0.85 nats below"]),
        ({"near_ties": 0.21}, ["coarse, works: 21% near-ties"]),
    ],
)
def test_a_missed_aim_is_told_and_does_not_fail(change: dict[str, float], told: list[str]) -> None:
    figures = result(**change)
    lines = [line for line in aims(figures) if line.startswith("missed")]
    assert len(lines) == len(told)
    assert all(text in line for text, line in zip(told, lines, strict=True))
    assert missed(figures) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": 0.29}, "codebook 3: 29% of entries used"),
        ({"perplexity": 99.0}, "codebook 13: perplexity 99 < 100"),
        ({"gain_nats": 0.0}, "c2f, speech: gain 0.00"),
    ],
)
def test_a_missed_threshold_fails(change: dict[str, float], reason: str) -> None:
    assert any(line.startswith(reason) for line in missed(result(**change)))
