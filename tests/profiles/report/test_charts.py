from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from profiles.report.audio import _levels, png, spectrogram
from profiles.report.charts import figures
from profiles.report.charts.marks import marks_for, outline
from profiles.report.charts.panel import Panel
from profiles.report.charts.scales import (
    agreement_axis,
    bytes_axis,
    db_axis,
    linear_axis,
    seconds_axis,
)
from profiles.report.charts.tradeoff import Point, best, tradeoff_chart
from profiles.report.render import render_report
from tests.profiles.report.example import results_of
from vampnet_models.records.results import Model, Results

MARKS = marks_for(["fp16", "<mine> & yours"])


def point(x: float, y: float, **changes: Any) -> Point:
    fields: dict[str, Any] = {"mark": MARKS["fp16"], "x_range": None, "y_range": None}
    fields |= {"measured": True, "missed": False, "text": f"{x} {y}"}
    return Point(x=x, y=y, **(fields | changes))


def model_of(run: Results, name: str) -> Model:
    return next(m for m in run.models if m.name == name)


def test_agreement_axis_sets_99_and_99_9_apart() -> None:
    axis = agreement_axis([0.37, 1.0])
    positions = [axis.position(s) for s in (0.37, 0.9, 0.99, 0.999, 1.0)]
    assert all(b - a > 0.15 for a, b in pairwise(positions))
    assert positions[-1] == 1.0
    assert axis.ticks[0][0] == 0.0 and axis.ticks[-1][1] == "100\u00a0%"


def test_agreement_axis_starts_below_the_least() -> None:
    assert agreement_axis([0.952, 0.999]).ticks[0][0] == 0.9
    assert agreement_axis([]).ticks[-1][0] == 1.0
    assert agreement_axis([math.nan, 0.995]).ticks[0][0] == 0.99


def test_linear_axes_start_at_zero_and_have_round_ticks() -> None:
    assert [t for _, t in bytes_axis("", [2_310_000]).ticks] == [
        "0",
        "500\u00a0kB",
        "1\u00a0MB",
        "1.5\u00a0MB",
        "2\u00a0MB",
    ]
    assert seconds_axis("", [0.05]).low == 0.0
    assert linear_axis("", 1.0, 1.0, str).position(1.0) == 0.0


def test_infinite_decibels_are_at_the_top() -> None:
    axis = db_axis("", [20.0, math.inf])
    assert axis.position(math.inf) == 1.0
    assert axis.position(20.0) < 0.95


def test_best_drops_what_another_beats() -> None:
    points = [point(3, 0.99), point(1, 0.9), point(2, 0.8), point(2.5, 0.99)]
    points.append(point(0.5, 1.0, measured=False))
    assert [(p.x, p.y) for p in best(points)] == [(1, 0.9), (2.5, 0.99)]


def test_measured_is_filled_and_an_estimate_hollow_with_its_range() -> None:
    points = [point(1e6, 0.99), point(2e6, 0.95, measured=False, x_range=(1e6, 3e6))]
    svg = tradeoff_chart(
        points, bytes_axis("", [3e6]), agreement_axis([0.95]), name="n", floor=0.999
    )
    marks = list(ET.fromstring(svg).iter("path"))
    assert ["filled" in m.attrib["class"] for m in marks] == [True, False]
    assert "hollow" in marks[1].attrib["class"]
    assert len([g for g in ET.fromstring(svg).iter("g") if "whisker" in g.attrib["class"]]) == 1


def test_floor_lies_where_its_agreement_is() -> None:
    panel = Panel(bytes_axis("", [1.0]), agreement_axis([0.9]))
    drawn = ET.fromstring(f"<svg>{panel.band(0.99)}</svg>")
    line = next(drawn.iter("line"))
    assert float(line.attrib["y1"]) == pytest.approx(panel.at_y(0.99), abs=0.01)
    assert panel.at_y(0.999) < panel.at_y(0.99) < panel.at_y(0.9)


def test_missed_variants_are_ringed(results: dict[str, Any]) -> None:
    run = results_of(results)
    marks = marks_for(v.recipe for v in run.models[0].variants)
    size, *_ = figures.tradeoffs(model_of(run, "coarse"), marks)
    assert str(size.chart).count("missed-ring") == 1
    size, *_ = figures.tradeoffs(model_of(run, "c2f"), marks)
    assert "missed-ring" not in size.chart


def test_each_model_gets_the_charts_of_its_kind(results: dict[str, Any]) -> None:
    run = results_of(results)
    marks = marks_for(v.recipe for v in run.models[0].variants)
    captions = {
        m.name: [f.caption for f in (*figures.tradeoffs(m, marks), *figures.agreements(m, marks))]
        for m in run.models
    }
    assert captions["codec_encoder"] == [
        "Size and agreement",
        "CPU time and agreement (measured)",
        "Mobile time and agreement (estimate)",
        "Agreement per codebook",
        "The same where all earlier codebooks agree",
    ]
    assert captions["coarse"][-2:] == ["Agreement per codebook", "Agreement per mask ratio"]
    assert captions["codec_decoder"][:2] == ["Size and SI-SDR", "CPU time and SI-SDR (measured)"]
    assert "floor" in figures.tradeoffs(model_of(run, "codec_decoder"), marks)[0].chart


def test_floor_is_drawn_per_codebook_and_per_mask_ratio(results: dict[str, Any]) -> None:
    run = results_of(results)
    marks = marks_for(v.recipe for v in run.models[0].variants)
    for figure in figures.agreements(model_of(run, "coarse"), marks):
        assert 'class="floor-line"' in figure.chart


def test_an_agreement_of_zero_is_drawn(
    results: dict[str, Any], variant_of: Callable[..., dict[str, Any]]
) -> None:
    variant = variant_of(results, "coarse", "fp16")
    for entry in variant["accuracy"]["per_mask_ratio"]:
        entry["agreement"] = 0.0
    run = results_of(results)
    marks = marks_for(v.recipe for v in run.models[0].variants)
    chart = ET.fromstring(figures.agreements(model_of(run, "coarse"), marks)[1].chart)
    assert len([t for t in chart.iter("title") if t.text == "fp16"]) == 1


def test_what_is_not_drawn_says_why(results: dict[str, Any]) -> None:
    results["models"][1]["variants"][0]["accuracy"] = None
    run = results_of(results)
    assert figures.undrawn(model_of(run, "coarse")) == ("fused: accuracy not measured",)
    (line,) = figures.undrawn(model_of(run, "c2f"))
    assert "failed" in line and "block size 32" in line


def test_the_slowest_sample_is_in_the_picture(results: dict[str, Any]) -> None:
    cpu = results["models"][0]["variants"][0]["profiles"]["cpu"]
    cpu["samples_s"] = [0.01] * 400 + [0.5]
    run = results_of(results)
    marks = marks_for(v.recipe for v in run.models[0].variants)
    figure = figures.latencies(run.models[0], marks)
    assert figure is not None
    dots = [float(c.attrib["cx"]) for c in ET.fromstring(figure.chart).iter("circle")]
    assert max(dots) > 320


def test_marks_differ_in_shape_and_escape_names() -> None:
    recipes = ["fused", "fp16", "int8-static", "int8-dynamic", "int8-weights", "int4-weights"]
    marks = marks_for([*recipes, "a", "b", "c"])
    assert len({m.shape for m in marks.values()}) == 9
    assert len({outline(m.shape, 0, 0, 5) for m in marks.values()}) == 9
    assert marks_for(["b", "fp16"])["fp16"] == marks_for(["fp16"])["fp16"]
    svg = tradeoff_chart(
        [point(1, 0.9, text="<mine> & yours")], bytes_axis("", [1]), agreement_axis([0.9]), name="<"
    )
    assert ET.fromstring(svg).attrib["aria-label"] == "<"
    assert "<mine>" not in svg


def test_png_is_read_back_by_its_own_rules() -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = png(levels, np.zeros((64, 3), np.uint8))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data[16:24] == (4).to_bytes(4, "big") + (3).to_bytes(4, "big")


def test_a_tone_is_a_bright_line_at_its_frequency() -> None:
    rate_hz = 44_100
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate_hz) / rate_hz).astype(np.float32)
    levels = _levels(tone, rate_hz)
    row = int(levels.mean(axis=1).argmax())
    top_hz = 0.98 * rate_hz / 2
    hz = 40 * (top_hz / 40) ** (1 - (row + 0.5) / levels.shape[0])
    assert hz == pytest.approx(1000, rel=0.06)
    assert levels.max() == 63
    silent = _levels(np.zeros(100, np.float32), rate_hz)
    assert silent.max() == 0
    picture = ET.fromstring(spectrogram(tone, rate_hz, name="1 kHz"))
    image = next(picture.iter("image"))
    assert re.match(r"data:image/png;base64,", image.attrib["href"])


def option(precision: str, damage: float | None, time_ratio: float) -> dict[str, Any]:
    """What a block does in one precision, as a run records it."""
    return {
        "block": "a",
        "precision": precision,
        "damage": damage,
        "agreement": None,
        "saved_bytes": 0 if precision == "float32" else 30_000,
        "time_ratio": time_ratio,
    }


def test_a_tuned_model_says_what_each_block_got_and_why(
    results: dict[str, Any], tmp_path: Path
) -> None:
    options = [option("float32", 0.0, 1.0), option("int8-weights", 1e-4, 0.9)]
    words = "int4-weights would save 2.0 kB more, for 40 x the damage"
    why = {"code": "damage", "damage_ratio": 40.0, "text": words}
    block = {"block": "a <b>", "chosen": "int8-weights", "options": options}
    results["models"][1]["blocks"] = [
        block | {"why": why},
        block | {"chosen": "fp16", "why": "old words"},
    ]
    page = render_report(results_of(results), tmp_path)
    assert "What each block of coarse got, and why" in page
    assert "a &lt;b&gt;" in page and "a <b>" not in page
    assert words in page and "old words" in page and "1.0e-04" in page and "30.0\u00a0kB" in page
    assert "What each block of c2f got" not in page


def test_a_tuned_model_shows_what_each_block_costs(results: dict[str, Any]) -> None:
    options = [
        option("float32", 0.0, 1.0),
        option("int8-static", 1e-4, 0.9),
        option("int4-weights", None, 0.8),
    ]
    name = "transformer.layers.3.feed_forward.<w_1>/MatMul"
    results["models"][1]["blocks"] = [{"block": name, "chosen": "int8-static", "options": options}]
    model = results_of(results).models[1]
    marks = marks_for(each["precision"] for each in options)
    (figure,) = figures.sensitivities(model, marks)
    chart = str(figure.chart)
    assert chart.count('class="option"') == 2
    assert chart.count('class="spread') == 1
    assert "int8-static, chosen: damage 1.00e-04, 0.90 x the model" in chart
    assert "&lt;w_1&gt;" in chart and "<w_1>" not in chart
    assert figures.sensitivities(results_of(results).models[0], marks) == ()
