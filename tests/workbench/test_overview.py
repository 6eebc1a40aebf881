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
from workbench.main import main
try:
    main(["overview", sys.argv[1], "--quiet"])
finally:
    loaded = {"onnxruntime", "optimize", "calibration"} & set(sys.modules)
    print(sorted(loaded), file=sys.stderr)
"""
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
        "variants": [variant | {"record": {}}, failed],
    }


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    results = {
        "schema": 1,
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
    found = json.loads(vampbench("overview", finished, "--json").stdout)
    assert found["lengths"]["coarse"] == FIXED
    unknown = found["lengths"]["c2f"]
    assert unknown["accepts"] is None and unknown["length"] is None
    assert "run again" in unknown["reason"]
    assert found["imported"] is None
    said = vampbench("overview", finished).stdout
    assert "100 alone" in said and "Reshape: 100 baked in" in said


def test_what_is_missing_has_a_table_of_its_own(finished, vampbench):
    lines = vampbench("overview", finished).stdout.splitlines()
    assert "Not as asked" in lines
    (line,) = [line for line in lines if line.startswith("coarse  int8-static")]
    assert line.split() == ["coarse", "int8-static", "failed", "no", "kernel"]
    assert max(map(len, lines[:40])) <= 80


def test_targets_have_the_names_that_bundle_takes(finished, vampbench):
    found = json.loads(vampbench("overview", finished, "--json").stdout)
    assert [r["target"] for r in found["recommendations"]] == ["cuda", "android", "ios"]
