"""Operators and roofline: the right numbers in the right rows, and their absence said."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiles.report.charts.operators import OTHERS, OUTSIDE, operator_marks, segments
from profiles.report.render import render_report
from profiles.report.tables.machine import coverage
from profiles.report.views.kernels import kernel_times, timed_kernels
from tests.profiles.report.example import results_of
from tests.profiles.report.kernels import with_kernels
from vampnet_models.records.profiles import KernelShare, Measurement, Peaks

Results = dict[str, Any]


@pytest.fixture
def measured(results: Results) -> Results:
    """The first model's operators were measured."""
    model = results["models"][0]
    with_kernels(model["profiles"]["cpu"])
    for variant in model["variants"]:
        if variant["status"] == "ok":
            integer = variant["recipe"].startswith("int8-static")
            with_kernels(variant["profiles"]["cpu"], integer=integer)
    return results


def test_a_stack_keeps_the_whole_time(measured: Results) -> None:
    found = timed_kernels(results_of(measured).models[0])
    assert list(found)[:2] == ["FP32 source", "fused"]
    marks = operator_marks(found)
    assert len(marks) == 8 and list(marks)[-1] == OTHERS
    for times in found.values():
        parts = segments(times, marks)
        assert parts[-1][0] == OUTSIDE
        assert sum(s for _, s in parts) == pytest.approx(times.median_s)
    assert "MatMulIntegerToFloat" in dict(segments(found["int8-static"], marks))


def kernel(name: str, flops: int, integer_flops: int = 0, bytes: int = 0) -> KernelShare:
    return KernelShare(name, 1, 1.0, 1.0, flops, integer_flops, bytes, flops_per_s=flops)


def test_the_bound_takes_each_precision_at_its_peak() -> None:
    peaks = Peaks(threads=2, fp32_flops_per_s=100e9, int8_ops_per_s=400e9, copy_bytes_per_s=10e9)
    one = kernel("MatMul", flops=100_000_000_000)
    assert peaks.bound_s(one) == pytest.approx(1.0)
    mixed = kernel("block", flops=100_000_000_000, integer_flops=80_000_000_000, bytes=10**9)
    assert peaks.bound_s(mixed) == pytest.approx(0.2 + 0.2)
    moved = kernel("Add", flops=10**9, bytes=5 * 10**9)
    assert peaks.bound_s(moved) == pytest.approx(0.5)


def test_the_page_shows_them(
    measured: Results, tmp_path: Path, page_of: Callable[[str], Any]
) -> None:
    html = render_report(results_of(measured), tmp_path)
    page = page_of(html)
    names = [s["aria-label"] for s in page.all("svg", "chart")]
    assert "codec_encoder: time per operator" in names
    assert "codec_encoder: roofline" in names
    assert "coarse: roofline" not in names
    models = page.sections["models"]
    for text in ("Distance to the bound", "layers.1", "100 GFLOP/s in FP32", "400 GOP/s in INT8"):
        assert text in models
    # 50 GFLOP/s over 0.6 of the time: half of FP32's peak / 0.6, of INT8's an eighth / 0.6.
    rows = dict(
        re.findall(r'data-order="([^"]* · MatMul[^"]*)".*?>([^<]*)</span></td>\s*</tr>', html, re.S)
    )
    assert rows["fused · MatMul"] == "83.3\u00a0%"
    assert rows["int8-static · MatMulIntegerToFloat"] == "20.8\u00a0%"
    assert "operator times" not in page.sections["where"]


def test_what_was_not_measured_names_the_command(measured: Results) -> None:
    found = {line.target: line for line in coverage(results_of(measured))}
    operators = found["operators, roofline"]
    assert operators.counts == "measured for 1 of 4\u00a0models"
    assert "run: make report-full" in operators.note
    assert found["damage per block"].counts == "not measured"
    assert "vampbench tune" in found["damage per block"].note


def test_a_profile_without_operators_has_none() -> None:
    assert kernel_times({}) is None
    assert kernel_times({"cpu": Measurement(target="cpu", median_s=1.0, flops=3)}) is None
