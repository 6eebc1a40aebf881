"""Profiles: the kind says which fields there are; files of earlier versions are read."""

from __future__ import annotations

from typing import Any

import pytest

from vampnet_models.errors import InputError
from vampnet_models.records.generic import as_json, read
from vampnet_models.records.profiles import (
    Estimate,
    Failure,
    KernelShare,
    Measurement,
    NotMeasured,
    OperatorTimes,
    Peaks,
    Profiles,
    Roofline,
    measured_on,
)

KERNEL = KernelShare("MatMul", 2, 0.1, 1.0, 400, 0, 30, 4000.0)
MEASURED = Measurement(
    target="cpu, 2 threads",
    median_s=0.2,
    samples_s=(0.1, 0.2, 0.3),
    ratio_interval=(0.4, 0.6),
    feed_shapes={"x": (1, 4)},
    operator_times=OperatorTimes(7, 0.1, 0.1, (KERNEL,), (KERNEL,), (KERNEL,)),
    peaks=Peaks(2, 1e9, 4e9, 1e10),
    roofline=Roofline(0.1, 0.15, 0.2, 0.5, 3.0, 0.5),
)
ESTIMATE = Estimate(low_s=0.1, high_s=0.3, assumptions=("full clock",), bytes=7)
ABSENT = NotMeasured(reason="no such provider")
FAILED = Failure("cpu", "no kernel")
BEFORE: dict[str, Any] = {
    "median_s": None,
    "samples_s": [],
    "noisy": False,
    "threads": None,
    "low_s": None,
    "high_s": None,
    "assumptions": [],
    "reason": None,
    "remedy": None,
    "notes": [],
    "warnings": [],
    "target": None,
}
"""What an earlier version wrote in the profiles of every kind."""


def test_each_kind_is_read_as_it_was_written():
    found = {"a": {"cpu": MEASURED, "mobile": ESTIMATE, "cuda": ABSENT, "toy": FAILED}}
    assert read(Profiles, as_json(found), "here", "") == found
    assert measured_on(found["a"], "cpu") == MEASURED
    assert [measured_on(found["a"], name) for name in ("mobile", "cuda", "toy", "x")] == [None] * 4


@pytest.mark.parametrize("profile", [MEASURED, ESTIMATE, ABSENT, FAILED])
def test_what_an_earlier_version_wrote_without_a_value_is_read(profile):
    values = {"r": {"t": BEFORE | as_json(profile)}}
    assert read(Profiles, values, "here", "") == {"r": {"t": profile}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "guess"}, "kind: must be one of measurement, estimate, not-measured, failed"),
        ({}, "kind: must be one of .*, is missing"),
        ({"kind": "measurement", "target": "cpu"}, "median_s: is missing"),
        (as_json(ESTIMATE) | {"median_s": 0.1}, "median_s: no such field"),
        (as_json(MEASURED) | {"mood": None}, "mood: no such field"),
        (as_json(MEASURED) | {"peaks": {"threads": 1}}, "peaks.fp32_flops_per_s: is missing"),
        (7, "must be an object, is 7"),
    ],
)
def test_what_is_missing_or_unknown_is_named(values, said):
    with pytest.raises(InputError, match=said):
        read(Profiles, {"r": {"t": values}}, "here", "profile again")
