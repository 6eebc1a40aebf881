from collections.abc import Callable
from pathlib import Path
from typing import Any

from profiles.report.render import render_report
from profiles.report.tables.coverage import _COLUMNS, coverage_table, outside_lines
from tests.profiles.report.example import results_of

COVERAGE = {
    "calibration": {
        "n_feeds": 32,
        "mask_ratios": [5, 1, 5, 4, 1, 5, 2, 4, 2, 3],
        "prompts": {"everything": 16, "periodic": 16},
        "entries_seen": [0.5, 0.25],
        "lengths": {"144": 8, "575": 24},
        "classes": {"music": 30, "speech-like": 2},
        "codes_from": {"encoder": 32},
    },
    # As an earlier version wrote it.
    "evaluation": {"n_feeds": 8, "mask_ratios": [], "prompts": {}, "entries_seen": []},
    "outside": [{"recipe": "int8-static", "tensor": "layers.3/<out>", "share": 0.043}],
}


def test_each_side_says_what_it_exercises(results: dict[str, Any]) -> None:
    results["models"][0]["coverage"] = COVERAGE
    model = results_of(results).models[0]
    calibration, evaluation = coverage_table(model).rows
    assert [row.name for row in (calibration, evaluation)] == ["calibration", "evaluation"]
    texts = dict(zip(_COLUMNS, (cell.text for cell in calibration.cells), strict=True))
    assert texts["Feeds"] == "32\u00a0feeds"
    assert texts["Masked, by tenths from few to all"] == "5 1 5 4 1 5 2 4 2 3"
    assert texts["Codebook entries seen"] == "25.0\u00a0% to 50.0\u00a0%"
    assert texts["Lengths"] == "8 × 144, 24 × 575"
    assert texts["Kinds of sound, roughly"] == "30 × music, 2 × speech-like"
    assert [cell.kind for cell in evaluation.cells] == ["fact"] + ["absent"] * 6
    assert outside_lines(model) == ("int8-static: layers.3/<out>: 4.30\u00a0% of its values",)


def test_the_page_shows_it_where_it_was_recorded(
    results: dict[str, Any], page_of: Callable[[str], Any], tmp_path: Path
) -> None:
    before = render_report(results_of(results), tmp_path)
    assert "was calibrated and judged on" not in before
    results["models"][0]["coverage"] = COVERAGE
    after = render_report(results_of(results), tmp_path)
    assert "was calibrated and judged on" in after
    assert "layers.3/&lt;out&gt;" in after
    assert len(page_of(after).all("table")) == len(page_of(before).all("table")) + 1
