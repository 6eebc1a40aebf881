"""The status of a variant by the bounds on its agreement."""

import pytest

from optimize.truth.status import Bounds, status_of, unbounded
from vampnet_models.records.accuracy import AccuracyReport, Figure


def drawn(value, low, recordings=6, clips=24):
    per_recording = {f"song {i}": value for i in range(recordings)}
    figure = Figure(value, low, min(1, 2 * value - low), n=900, n_clips=clips)
    figure.per_recording.update(per_recording)
    return AccuracyReport(token_agreement=0.95, sampled_agreement=figure)


def test_sampled_agreement_is_held_to_its_lower_end():
    assert status_of(drawn(0.995, 0.991), Bounds(min_sampled=0.99)) == ("ok", None)
    status, reason = status_of(drawn(0.995, 0.988), Bounds(min_sampled=0.99))
    assert (status, reason) == (
        "missed",
        "sampled agreement 0.9950 may be 0.9880, below the 0.99 asked for",
    )
    status, reason = status_of(drawn(0.985, 0.98), Bounds(min_sampled=0.99))
    assert reason == "sampled agreement 0.9850 is below the 0.99 asked for"


@pytest.mark.parametrize("least", [0.5, 0.99])
def test_too_few_recordings_miss_every_bound(least):
    status, reason = status_of(drawn(0.999, 0.998, recordings=2), Bounds(min_sampled=least))
    assert status == "missed"
    assert reason == (
        "sampled agreement 0.9990 is not shown to reach the "
        f"{least:g} asked for: 2 recordings and 24 clips; "
        "it needs 3 recordings more"
    )
    assert status_of(drawn(0.999, 0.998, recordings=2))[0] == "ok"


def test_both_bounds_hold_at_once():
    found = drawn(0.999, 0.998)
    assert status_of(found, Bounds(0.94, 0.99))[0] == "ok"
    assert status_of(found, Bounds(0.96, 0.99))[1].startswith("token agreement 0.9500")


def test_a_bound_on_what_is_not_drawn_applies_to_nothing_and_says_so():
    sound = AccuracyReport(si_sdr_db=40.0)
    assert status_of(sound, Bounds(min_sampled=0.99)) == ("ok", None)
    assert unbounded(sound, Bounds(min_sampled=0.99)) == (
        "the least sampled agreement 0.99 does not apply: no token is drawn from logits"
    )
    assert "; the least sampled" in unbounded(sound, Bounds(0.9, 0.99))
    assert unbounded(drawn(0.999, 0.998), Bounds(0.9, 0.99)) is None
    assert unbounded(sound, Bounds()) is None


def dear(value, high, recordings=6):
    per_recording = {f"song {i}": value for i in range(recordings)}
    return Figure(value, 2 * value - high, high, n=900, n_clips=24, per_recording=per_recording)


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        (dear(0.002, 0.009), None),
        (dear(0.002, 0.012), "cost 0.0020 {} may be 0.0120, above the 0.01 asked for"),
        (dear(0.02, 0.03), "cost 0.0200 {} is above the 0.01 asked for"),
        (
            dear(-0.002, 0.003, recordings=1),
            "cost -0.0020 {} is not shown to stay within the 0.01 asked for: 1 recording and 24 "
            "clips; it needs 4 recordings more",
        ),
    ],
)
def test_a_cost_is_held_to_its_upper_end_in_its_own_unit(figure, reason):
    nats, decibels = AccuracyReport(cost_nats=figure), AccuracyReport(cost_log_mel_db=figure)
    for report, bounds, unit in (
        (nats, Bounds(max_cost_nats=0.01), "nats per token"),
        (decibels, Bounds(max_cost_db=0.01), "dB log-mel"),
    ):
        status, told = status_of(report, bounds)
        assert told == (None if reason is None else reason.format(unit))
        assert status == ("ok" if reason is None else "missed")
        assert unbounded(report, Bounds(max_cost_nats=0.01, max_cost_db=0.01)) is None
    assert status_of(nats, Bounds(max_cost_db=0.001)) == ("ok", None)


def test_a_bound_on_an_unknown_cost_applies_to_nothing_and_says_so():
    unknown = AccuracyReport(token_agreement=0.9)
    assert status_of(unknown, Bounds(max_cost_nats=0.01)) == ("ok", None)
    assert unbounded(unknown, Bounds(max_cost_nats=0.01)) == (
        "the most cost 0.01 nats per token does not apply: no cost is known"
    )
