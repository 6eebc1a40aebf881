"""What a finished run comes to, from its results.json alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OVERVIEW = """
import sys
from vampbench.cli.main import main
try:
    main(["overview", sys.argv[1], "--quiet"])
finally:
    loaded = {"onnxruntime", "optimize", "calibration"} & set(sys.modules)
    print(sorted(loaded), file=sys.stderr)
"""
PARTS = {"coarse": "fp16", "c2f": "fp32"}
OTHERS = {"coarse": "fp16", "c2f": "fp16"}
DECISION = {
    "cpu": {
        "grade": "harmless",
        "smallest": {"parts": PARTS, "bytes": 1_500_000, "time_ratio": 0.9, "time_ratio_high": 1.0},
        "fastest": {"parts": OTHERS, "bytes": 1_000_000, "time_ratio": 0.5, "noisy": True},
        "reasons": ["coarse fp16: no cost above 0.001 nats", "both say it"],
        "passed_over": [{"model": "coarse", "recipe": "int8-static", "reason": "may cost 9 nats"}],
    },
    "android": {
        "grade": "harmless",
        "smallest": {"parts": OTHERS, "bytes": 1_000_000},
        "reasons": ["both say it"],
    },
}
UNKNOWN = {"accepts": None, "length": None, "whole_mask": None, "reason": None}
FIXED = {"accepts": "one", "length": 100, "whole_mask": False, "reason": "Reshape: 100 baked in"}


def model(name: str, role: str, lengths: dict[str, Any] | None) -> dict[str, Any]:
    variant = {"recipe": "fp16", "path": "gone.onnx", "bytes": 500_000, "status": "ok"}
    variant |= {"reason": None, "accuracy": {"token_agreement": 0.999}, "profiles": {}}
    failed = {"recipe": "int8-static", "path": None, "bytes": None, "status": "failed"}
    failed |= {"reason": "no kernel", "accuracy": None, "profiles": {}, "record": None}
    return {
        "name": name,
        "role": role,
        "path": f"../absent/{name}.onnx",
        "source_bytes": 1_000_000,
        "source_sha256": "0" * 64,
        "weights": "unknown",
        "made_here": False,
        "lengths": lengths,
        "variants": [variant, failed],
    }


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    results = {
        "schema": 1,
        "tool": {"command": "vampbench run models -o out"},
        "models": [model("coarse", "coarse", FIXED), model("c2f", "c2f", None)],
        "source_bytes": 2_000_000,
        "totals": {"fp16": 1_000_000},
        "imported": None,
        "decision": DECISION,
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_no_model_is_opened(finished):
    command = [sys.executable, "-c", OVERVIEW, str(finished)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "fp16" in done.stdout


def test_lengths_are_values_in_json_and_words_in_the_table(finished, vampbench):
    found = vampbench("overview", finished, "--json").result
    assert found["lengths"]["coarse"] == FIXED
    assert found["lengths"]["c2f"] == UNKNOWN
    assert found["imported"] is None
    said = vampbench("overview", finished).stdout
    assert "100 alone" in said and "Reshape: 100 baked in" in said
    assert (
        "unknown lengths: c2f; the run noted none\n"
        "  start it again, what is made is kept: vampbench run models -o out\n"
    ) in said


@pytest.mark.parametrize(
    ("noted", "said"),
    [
        ("any length", "lengths: must be an object"),
        ({"accepts": "any"}, "lengths.length: is missing"),
        (FIXED | {"accepts": "most"}, "lengths.accepts: must be one of any, one, up-to"),
        (FIXED | {"length": "100"}, "lengths.length: must be a whole number"),
        (FIXED | {"reason": 3}, "lengths.reason: must be a text"),
    ],
)
def test_lengths_that_another_version_noted_are_refused(finished, vampbench, noted, said):
    path = finished / "results.json"
    results = json.loads(path.read_text())
    results["models"][0]["lengths"] = noted
    path.write_text(json.dumps(results))
    done = vampbench("overview", finished)
    assert done.code == 2 and f"models[0].{said}" in done.lines[-1]
    assert done.lines[-1].endswith("run again, or use the version that wrote it")


@pytest.mark.parametrize(("field", "of_variant"), [("source_bytes", False), ("bytes", True)])
def test_a_size_that_is_missing_counts_as_nothing_nowhere(finished, vampbench, field, of_variant):
    path = finished / "results.json"
    results = json.loads(path.read_text())
    model = results["models"][0]
    del (model["variants"][0] if of_variant else model)[field]
    path.write_text(json.dumps(results))
    done = vampbench("overview", finished)
    where = "models[0].variants[0]." if of_variant else "models[0]."
    assert done.code == 2 and f"{where}{field}: is missing; run again" in done.stderr


def test_what_the_run_decided_comes_last_with_its_reasons(finished, vampbench):
    path = finished / "results.json"
    results = json.loads(path.read_text())
    results["decision"]["android"]["unheld"] = ["c2f"]
    path.write_text(json.dumps(results))
    done = vampbench("overview", finished)
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert "What to ship: harmless" in done.stdout
    assert ["cpu", "fp16", "fp32", "1.50", "MB", "75%", "0.90", "(to", "1.00)"] in lines
    assert ["cpu,", "fastest", "fp16", "fp16", "1.00", "MB", "50%", "~0.50"] in lines
    assert lines[-1] == ["android", "fp16", "fp16", "1.00", "MB", "50%", "-"]
    assert ["both", "say", "it", "cpu,", "android"] in lines
    assert ["coarse", "int8-static", "may", "cost", "9", "nats", "cpu"] in lines
    assert "not claimed: that nobody can hear it" in done.stdout
    assert done.lines == [
        "warning: nothing of c2f is shown to hold harmless (android): FP16 is there instead, or "
        "FP32"
    ]
    assert (
        vampbench("overview", finished, "--json").result["decision"]["cpu"]["smallest"]["parts"]
        == PARTS
    )


def test_another_grade_or_a_bound_decides_anew(finished, vampbench):
    asked = vampbench("overview", finished, "--min-agreement", "0.99")
    assert "What to ship: token agreement from 99.00 %" in asked.stdout
    assert asked.stdout.split("\n")[-3].split()[:3] == ["ios", "fp16", "fp16"]
    faithful = vampbench("overview", finished, "--grade", "faithful")
    assert "nothing of coarse, c2f is shown to hold faithful" in faithful.stderr
    refused = vampbench("overview", finished, "--grade", "harmless", "--max-cost", "0.5")
    assert refused.code == 2 and "max-cost 0.5: contradicts the grade harmless" in refused.stderr


def test_a_run_of_an_earlier_version_is_read_and_told_to_be_run_again(finished, vampbench):
    path = finished / "results.json"
    results = json.loads(path.read_text())
    del results["decision"]
    path.write_text(json.dumps(results))
    done = vampbench("overview", finished)
    assert done.code == 0 and "What to ship" not in done.stdout and "fp16" in done.stdout
    assert done.lines == [
        f"warning: {finished}: an earlier version made it, which decided nothing; run it again: "
        "vampbench run models -o out"
    ]
    bundled = vampbench("bundle", finished, "--target", "cpu", "-o", finished / "b")
    assert bundled.code == 2 and "run it again: vampbench run models -o out" in bundled.stderr


def test_what_is_missing_has_a_table_of_its_own(finished, vampbench):
    lines = vampbench("overview", finished).stdout.splitlines()
    assert "Not as asked" in lines
    (line,) = (line for line in lines if line.startswith("coarse  int8-static"))
    assert line.split() == ["coarse", "int8-static", "failed", "no", "kernel"]
    assert max(map(len, lines[:40])) <= 120


def test_a_part_of_a_run_is_told(finished, vampbench):
    assert not vampbench("overview", finished).lines
    path = finished / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pending": ["wavebeat"]}))
    done = vampbench("overview", finished, "--json")
    assert done.answer["warnings"] == [
        f"{finished}: the run has not ended: wavebeat not done yet; where it was stopped, give "
        "again: vampbench run models -o out"
    ]
    assert vampbench("report", finished).code == 0
    assert "wavebeat not done yet" in (finished / "report.html").read_text(encoding="utf-8")
