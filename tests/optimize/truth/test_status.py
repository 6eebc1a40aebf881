"""The status of a variant by the bounds on its agreement."""

import pytest

from optimize.truth.status import status_of, unbounded
from vampnet_models.records.accuracy import AccuracyReport, Figure


def drawn(value, low, recordings=6, clips=24):
    per_recording = {f"song {i}": value for i in range(recordings)}
    figure = Figure(value, low, min(1, 2 * value - low), n=900, n_clips=clips)
    figure.per_recording.update(per_recording)
    return AccuracyReport(token_agreement=0.95, sampled_agreement=figure)


def test_sampled_agreement_is_held_to_its_lower_end():
    assert status_of(drawn(0.995, 0.991), None, 0.99) == ("ok", None)
    status, reason = status_of(drawn(0.995, 0.988), None, 0.99)
    assert (status, reason) == (
        "missed",
        "sampled agreement 0.9950 may be 0.9880, below the 0.99 asked for",
    )
    status, reason = status_of(drawn(0.985, 0.98), None, 0.99)
    assert reason == "sampled agreement 0.9850 is below the 0.99 asked for"


@pytest.mark.parametrize("least", [0.5, 0.99])
def test_too_few_recordings_miss_every_bound(least):
    status, reason = status_of(drawn(0.999, 0.998, recordings=2), None, least)
    assert status == "missed"
    assert reason == (
        "sampled agreement 0.9990: cannot tell: 2 recordings and 24 clips; "
        "it needs 3 recordings more"
    )
    assert status_of(drawn(0.999, 0.998, recordings=2), None)[0] == "ok"


def test_both_bounds_hold_at_once():
    found = drawn(0.999, 0.998)
    assert status_of(found, 0.94, 0.99)[0] == "ok"
    assert status_of(found, 0.96, 0.99)[1].startswith("token agreement 0.9500")


def test_a_bound_on_what_is_not_drawn_applies_to_nothing_and_says_so():
    sound = AccuracyReport(si_sdr_db=40.0)
    assert status_of(sound, None, 0.99) == ("ok", None)
    assert unbounded(sound, None, 0.99) == (
        "the least sampled agreement 0.99 does not apply: no token is drawn from logits"
    )
    assert "; the least sampled" in unbounded(sound, 0.9, 0.99)
    assert unbounded(drawn(0.999, 0.998), 0.9, 0.99) is None
    assert unbounded(sound, None) is None
