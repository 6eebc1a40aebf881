"""A beat tracker in the report: its own words, and outside the sums of the chain."""

import copy
from pathlib import Path
from typing import Any

import pytest

from profiles.full_size import is_whole_vampnet
from profiles.report.cautions import cautions_of
from profiles.report.charts import figures
from profiles.report.charts.marks import marks_for
from profiles.report.render import render_report
from profiles.report.tables.details import detail_table
from profiles.report.tables.variants import variant_table
from profiles.report.verdict import verdict_of
from profiles.report.views.choices import choices_of, recipes_of, source_bytes
from tests.profiles.report.example import results_of
from vampnet_models.records.results import Results


def with_beats(results: dict[str, Any], agreement: float | None = 0.93) -> dict[str, Any]:
    """The example with a beat tracker whose variants keep this share."""
    found = copy.deepcopy(results)
    model = copy.deepcopy(found["models"][0])
    model |= {"name": "wavebeat", "role": "beats", "source_bytes": 1_500_000}
    for variant in model["variants"]:
        variant["accuracy"] = {
            "token_agreement": agreement,
            "floor": None if agreement is None else 1.0,
            "interval": None if agreement is None else [0.9, 0.96],
            "n_positions": 0 if agreement is None else 120,
            "per_beat_kind": [
                {"kind": "beat", "recall": agreement, "precision": 0.875}
                | {"n_reference": 80, "n_variant": 88},
                {"kind": "downbeat", "recall": None, "precision": None}
                | {"n_reference": 0, "n_variant": 0},
            ],
            "snr_db": 31.25,
            "nonfinite": 0,
            "notes": [] if agreement else ["the reference finds no beat"],
        }
    found["models"].append(model)
    return found


@pytest.fixture
def run(results: dict[str, Any]) -> Results:
    return results_of(with_beats(results))


def test_its_tables_speak_of_beats(run: Results) -> None:
    model = run.models[-1]
    marks = marks_for(recipes_of(run))
    table = variant_table(model, marks)
    assert "Beats within 20 ms, interval" in table.columns and "Beats" in table.columns
    assert "93.0" in str(table.rows[1].cells[2]) and "120" in str(table.rows[1].cells[3])
    details = detail_table(model, marks)
    assert details.columns[:2] == ("SQNR", "Beats: recall")
    row = [str(cell) for cell in details.rows[0].cells]
    assert "31.2" in row[0] and "93.0" in row[1] and "of 80" in row[1] and "87.5" in row[2]
    assert "not measured" in row[3]


def test_its_chart_has_beats_on_the_axis(run: Results) -> None:
    marks = marks_for(recipes_of(run))
    charts = [str(f.chart) for f in figures.tradeoffs(run.models[-1], marks)]
    assert charts and all("beats within 20 ms" in c for c in charts)
    assert figures.agreements(run.models[-1], marks) == ()


def test_the_chain_is_judged_without_it(results: dict[str, Any], run: Results) -> None:
    alone = results_of(results)
    assert is_whole_vampnet(run)
    assert source_bytes(run) == source_bytes(alone)
    assert choices_of(run) == choices_of(alone)
    assert verdict_of(run).summary == verdict_of(alone).summary


def test_a_run_of_nothing_else_counts_it(results: dict[str, Any]) -> None:
    both = with_beats(results)
    run = results_of({**both, "models": both["models"][-1:], "totals": {}, "sets": []})
    assert source_bytes(run) == 1_500_000


def test_few_means_fewer_beats(results: dict[str, Any], run: Results) -> None:
    assert not [c for c in cautions_of(run) if c.title == "Few positions"]
    few = with_beats(results)
    few["models"][-1]["variants"][0]["accuracy"]["n_positions"] = 99
    (caution,) = [c for c in cautions_of(results_of(few)) if c.title == "Few positions"]
    assert caution.lines == ("wavebeat · fused: 99 beats",)


def test_the_page_shows_it_with_and_without_beats(results: dict[str, Any], tmp_path: Path) -> None:
    assert "Beats within 20 ms, interval" in render_report(
        results_of(with_beats(results)), tmp_path
    )
    silent = render_report(results_of(with_beats(results, None)), tmp_path)
    assert "the reference finds no beat" in silent
