"""Costs on the terminal."""

from vampbench.cli.judge.costs import cost_lines
from vampbench.cli.ship.summary import cost_told
from vampnet_models.records.accuracy import AccuracyReport, Figure


def figure(value, half, n_clips=24):
    songs = {f"song {i}": value * i / 2 for i in range(6)}
    return Figure(value, value - half, value + half, 1e-6, 9968, n_clips, per_recording=songs)


def test_a_transformers_cost_is_told_with_the_dearest_recording():
    report = AccuracyReport(cost_nats=figure(0.0027, 0.0045))
    assert list(cost_lines(report)) == [
        "cost             +0.0027 nats per token (95 % interval -0.0018 to +0.0072, floor 0, "
        "9,968 positions)",
        "  worst recording  song 5: +0.0068",
    ]
    assert cost_told(report) == "+0.0072 nats"


def test_a_codecs_other_costs_stand_below_and_few_clips_cannot_tell():
    report = AccuracyReport(
        cost_log_mel_db=figure(0.05, 0.02, n_clips=8),
        cost_stft=figure(0.002, 0.0001),
        cost_si_sdr_db=figure(0.1, 0.2, n_clips=4),
    )
    lines = list(cost_lines(report))
    assert lines[0].startswith("cost             +0.0500 dB log-mel (95 % interval +0.0300 to")
    assert lines[2] == "  cannot tell: 6 recordings and 8 clips; it needs 12 clips more"
    assert lines[3] == "  STFT             +0.0020 (95 % interval +0.0019 to +0.0021)"
    assert lines[4].endswith("+0.1000 (95 % interval -0.1000 to +0.3000; 4 clips count)")
    assert cost_told(report) == "cannot tell"


def test_without_a_cost_nothing_is_told():
    assert list(cost_lines(AccuracyReport(token_agreement=0.9))) == []
    assert cost_told(AccuracyReport(token_agreement=0.9)) == cost_told(None) == "-"
