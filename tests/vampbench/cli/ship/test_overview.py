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


def test_reasons_of_the_advice_are_values_with_words_beside_them(finished, vampbench):
    found = vampbench("overview", finished, "--json").result
    for advice in found["recommendations"]:
        assert set(advice["why"]) == {"code", "text"}
        assert all(set(caveat) == {"code", "model", "text"} for caveat in advice["caveats"])
    said = vampbench("overview", finished).stdout
    assert f"android  {found['recommendations'][1]['why']['text']}" in said


def test_what_is_missing_has_a_table_of_its_own(finished, vampbench):
    lines = vampbench("overview", finished).stdout.splitlines()
    assert "Not as asked" in lines
    (line,) = [line for line in lines if line.startswith("coarse  int8-static")]
    assert line.split() == ["coarse", "int8-static", "failed", "no", "kernel"]
    assert max(map(len, lines[:40])) <= 80


def test_targets_have_the_names_that_bundle_takes(finished, vampbench):
    found = vampbench("overview", finished, "--json").result
    advised = {r["target"] for r in found["recommendations"]}
    assert {"cuda", "android", "ios"} <= advised and not {"cpu", "android-npu"} & advised


def test_the_rule_and_what_it_refused_are_told(finished, vampbench):
    path = finished / "results.json"
    results = json.loads(path.read_text())
    for each in results["models"]:
        lossy = each["variants"][0] | {"recipe": "int8-weights", "bytes": 250_000}
        each["variants"][1] = lossy | {"accuracy": {"token_agreement": 0.9847}}
    path.write_text(json.dumps(results))
    lines = vampbench("overview", finished).stdout.splitlines()
    (rule,) = [line for line in lines if line.startswith("rule ")]
    assert "99% agreement" in rule
    rows = [line.split() for line in lines[lines.index("Refused") :]]
    assert ["coarse", "int8-weights", "98.47", "%", "below", "99%", "android"] in rows


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
