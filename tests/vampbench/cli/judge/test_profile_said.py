"""What `profile` says of figures that take a GPU, a phone or minutes: given ones are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vampbench.cli.console import Console
from vampbench.cli.judge.profile import _tell_operators, _tell_target
from vampnet_models.records.profiles import (
    DeviceEstimate,
    Estimate,
    Failure,
    KernelShare,
    Measurement,
    NotMeasured,
    OperatorTimes,
    Peaks,
    Profile,
    Roofline,
)

TIMED = Measurement(target="cpu:2", median_s=0.020, p10_s=0.019, p90_s=0.022)


def said(capsys: pytest.CaptureFixture[str], label: str, **records: Profile) -> list[str]:
    _tell_target(label, records, Console())
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_times_stand_beside_memory_and_how_it_opens(capsys):
    seen = replace(
        TIMED,
        ratio_to_reference=0.5,
        ratio_interval=(0.45, 0.55),
        noisy=True,
        bytes=10_000_000,
        peak_rss_bytes=400_000_000,
        base_rss_bytes=100_000_000,
        rss_after_load_bytes=130_000_000,
        session_s=0.2,
        session_cold_s=0.5,
        audio_s=2.0,
        real_time_factor=0.01,
    )
    lines = said(capsys, "CPU", small=seen)
    (row,) = (line for line in lines if "0.50 (0.45 to 0.55)" in line)
    assert "20.0 ms" in row and "19.0 ms to 22.0 ms" in row
    assert "peak RSS 400.00 MB, 30.00 MB of it for 10.00 MB of model after load" in lines[-1]
    assert "opens in 200 ms, 500 ms cold" in lines[-1]
    assert "for 2.0 s of sound" in lines[-1] and lines[-1].endswith("noisy")


def test_what_was_not_noted_is_left_out(capsys):
    bare = replace(TIMED, p10_s=None, p90_s=None, ms_per_step=20.0)
    lines = said(capsys, "CPU", small=bare)
    assert lines[-1] == "small per sampling step"
    (row,) = (line for line in lines if "20.0 ms" in line)
    assert row.count("-") == 2  # neither a spread nor a reference


def test_an_estimate_a_missing_device_and_a_failure_say_what_they_are(capsys):
    guess = DeviceEstimate("T4", 0.001, 0.004, "a data sheet")
    lines = said(
        capsys,
        "elsewhere",
        phone=Estimate(low_s=0.01, high_s=0.2, assumptions=(), bytes=2_000_000),
        nowhere=Estimate(low_s=None, high_s=None, assumptions=()),
        gpu=NotMeasured(reason="no driver", estimates=(guess,)),
        none=NotMeasured(),
        lost=Failure("cpu", "it crashed"),
    )
    told = " ".join(lines)
    assert "about 10 to 200 ms over phones, 2.00 MB" in told
    assert "no device is listed" in told
    assert "no driver; estimate, not measured: T4 about 1 to 4 ms" in told
    assert "not-measured no reason given" in told
    assert "failed it crashed" in told


def test_operators_are_told_with_the_roof_above_them(capsys):
    kernel = KernelShare("MatMul", 3, 0.012, 0.6, 24_000_000, 0, 1_000_000, 2e9)
    idle = KernelShare("Reshape", 1, 0.001, 0.05, 0, 0, 0, 0.0)
    timed = replace(
        TIMED,
        operator_times=OperatorTimes(5, 0.019, 0.001, (kernel, idle), (), ()),
        peaks=Peaks(2, 1e11, 4e11, 2e10),
        roofline=Roofline(0.01, 0.012, 0.02, 0.1, 24.0, 0.5, ("repeat them",)),
    )
    _tell_operators("small", timed, Console())
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert ["MatMul", "3", "12.00", "ms", "60.0%", "2.0"] in rows
    assert ["Reshape", "1", "1.00", "ms", "5.0%", "-"] in rows
    assert "peaks 100 GFLOP/s in FP32, 400 GOP/s in INT8, 20.0 GB/s" in " ".join(out.split())
    assert "bound 10.00 ms, 50% of it reached" in " ".join(out.split())
    assert "small: repeat them" in err


def test_without_operators_nothing_is_told(capsys):
    _tell_operators("small", TIMED, Console())
    assert capsys.readouterr().out == ""
