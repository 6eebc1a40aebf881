"""Aims are told, thresholds are enforced."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from training import evaluate

GAINS = {
    "coarse, held-out recordings": 0.1,
    "coarse, held-out arrangements": 0.6,
    "c2f, held-out recordings": 0.1,
    "c2f, held-out arrangements": 0.6,
}


def _result(
    si_sdr_db: float = 2.5,
    log_mel_db: float = 4.0,
    share: float = 0.9,
    perplexity: float = 500.0,
    gains: dict[str, float] = GAINS,
) -> dict[str, Any]:
    row = {"si_sdr_db": {"14": si_sdr_db, "4": -9.0}, "log_mel_db": {"14": log_mel_db, "4": 9.0}}
    return {
        "codec": {"brahms": row, "trumpet": row},
        "usage": {"share": [share] * 14, "perplexity": [perplexity] * 14},
        "tokens": {name: {"gain_nats": gain} for name, gain in gains.items()},
    }


def test_everything_reached_is_told_and_nothing_is_missed() -> None:
    lines = evaluate.aims(_result())
    assert len(lines) == 8
    assert all(line.startswith("reached") for line in lines)
    assert evaluate.missed(_result()) == []


def test_a_missed_aim_of_the_codec_is_told_per_recording_and_does_not_fail() -> None:
    result = _result(si_sdr_db=1.99, log_mel_db=4.31)
    missed = [line for line in evaluate.aims(result) if line.startswith("missed")]
    assert len(missed) == 4
    assert sum("SI-SDR 1.99 dB, aim 2.0" in line for line in missed) == 2
    assert {name for name in ("brahms", "trumpet") for line in missed if name in line} == {
        "brahms",
        "trumpet",
    }
    assert evaluate.missed(result) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": 0.29}, "codebook 3: 29% of entries used"),
        ({"perplexity": 99.0}, "codebook 13: perplexity 99 < 100"),
        ({"gains": GAINS | {"c2f, held-out arrangements": 0.49}}, "c2f, held-out arrangements"),
        ({"gains": GAINS | {"coarse, held-out recordings": 0.0}}, "coarse, held-out recordings"),
    ],
)
def test_a_missed_threshold_fails(change: dict[str, Any], reason: str) -> None:
    assert any(line.startswith(reason) for line in evaluate.missed(_result(**change)))
