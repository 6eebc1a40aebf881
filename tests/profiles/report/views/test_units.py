from __future__ import annotations

import math

import pytest

from profiles.report.views import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (626_010, "626 kB"),
        (999_900, "1.00 MB"),
        (91.4e6, "91.4 MB"),
        (1.33e9, "1.33 GB"),
    ],
)
def test_bytes_are_decimal_with_three_digits(value: float, text: str) -> None:
    assert units.bytes_text(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.234, "1.23 s"), (0.0732, "73.2 ms"), (0.00084, "840 µs"), (0, "0 µs")]
)
def test_seconds_take_their_unit_from_the_size(value: float, text: str) -> None:
    assert units.seconds_text(value).replace("\u00a0", " ") == text


def test_a_range_has_one_unit() -> None:
    assert units.seconds_range(0.0005, 0.0754) == "0.500–75.4\u00a0ms"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100"),
        (0.9987, "99.87"),
        (0.99996, "99.996"),
        (0.9999996, "99.99996"),
        (1 - 1e-12, "99.99999"),
        (0.0, "0.00"),
    ],
)
def test_agreement_never_rounds_up_to_all(share: float, text: str) -> None:
    assert units.agreement_text(share) == f"{text}\u00a0%"


def test_a_share_near_the_whole_shows_on_which_side() -> None:
    assert units.percent_text(1.004) == "100.40\u00a0%"
    assert units.percent_text(1.0) == "100\u00a0%"


def test_infinite_decibels_and_nan_are_said() -> None:
    assert units.db_text(math.inf) == "∞\u00a0dB"
    assert units.db_text(math.nan) == "NaN\u00a0dB"
    assert units.agreement_text(math.nan) == "NaN\u00a0%"
    assert units.db_text(-3.25) == "\u22123.2\u00a0dB"
