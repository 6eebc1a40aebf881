"""`vampbench report`: one run, two compared, and what `tune` adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def results(size: int, seconds: float, cpu: str = "A") -> dict[str, Any]:
    samples = [seconds * (1 + i / 1000) for i in range(9)]
    measured = {"kind": "measurement", "target": "cpu", "median_s": seconds}
    measured |= {"samples_s": samples, "threads": 1}
    variant = {"recipe": "fp16", "status": "ok", "bytes": size, "profiles": {"cpu": measured}}
    model = {"name": "m", "source_sha256": "0" * 64, "source_bytes": 100, "variants": [variant]}
    return {"schema": 1, "host": {"cpu": cpu}, "models": [model]}


@pytest.fixture
def then(tmp_path: Path) -> Path:
    return written(tmp_path / "then", results(50, 1.0))


def written(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_two_runs_are_compared(then, tmp_path, vampbench):
    now = written(tmp_path / "now", results(40, 2.0))
    before = (now / "results.json").read_bytes()
    done = vampbench("report", "--compare", then, now, "--json")
    assert done.code == 0
    said = done.result
    (row,) = said["rows"]
    assert (row["then"]["bytes"], row["now"]["bytes"], row["kept"]) == (50, 40, "not compared")
    (time,) = row["times"]
    assert time["ratio"]["value"] == pytest.approx(2.0) and time["verdict"] == "slower"
    assert said["headline"] == "Of 1\u00a0variant: 1 smaller, 1 slower on cpu"
    assert "2.00×" in Path(said["report"]).read_text(encoding="utf-8")
    assert (now / "results.json").read_bytes() == before


def test_another_machine_needs_a_flag(then, tmp_path, vampbench):
    now = written(tmp_path / "now", results(50, 2.0, cpu="B"))
    refused = vampbench("report", "--compare", then, now)
    assert refused.code == 0
    assert "No difference" in refused.stdout
    assert "--other-machine" in refused.stdout and "Of different machines" in refused.stderr
    allowed = vampbench("report", "--compare", then, now, "--other-machine")
    assert "1 slower on cpu" in allowed.stdout


def test_one_run_or_two(then, tmp_path, vampbench):
    for arguments in ((), (then, "--compare", then, then)):
        done = vampbench("report", *arguments)
        assert done.code == 2
        assert "give either one run, or two" in done.stderr
    gone = vampbench("report", "--compare", then, tmp_path / "gone")
    assert gone.code == 2 and "no such folder" in gone.stderr


def test_tune_adds_what_blocks_cost(then, tmp_path, vampbench):
    tuned = results(50, 1.0)
    figures = {"block": "layers.0", "agreement": None, "saved_bytes": 0, "time_ratio": 1.0}
    options = [
        figures | {"precision": precision, "damage": damage}
        for precision, damage in (("float32", 0.0), ("int8", 1e-3))
    ]
    tuned["models"][0]["blocks"] = [{"block": "layers.0", "chosen": "int8", "options": options}]
    folder = written(tmp_path / "tuned", tuned)
    before = (then / "results.json").read_bytes()
    assert vampbench("report", then, "--tuned", folder).code == 0
    assert "layers.0: int8, chosen" in (then / "report.html").read_text(encoding="utf-8")
    assert (then / "results.json").read_bytes() == before
    tuned["models"][0]["source_sha256"] = "1" * 64
    other = written(tmp_path / "other", tuned)
    refused = vampbench("report", then, "--tuned", other)
    assert refused.code == 2 and "tuned none of the models" in refused.stderr
