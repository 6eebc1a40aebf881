"""Two kills on the smallest model, and what counts as a difference."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.resume import differences, resume
from tests.profiles import graphs

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_two_kills_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    models.mkdir()
    graphs.save(graphs.slow_matmul(3, inner=128), models / "m.onnx")
    graphs.save_feeds(tmp_path / "f.npz", x=np.ones((64, 128), np.float32))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY)]))
    arguments = ["run", str(models), "--feeds", str(tmp_path / "f.npz")]
    arguments += ["--recipes", "fused,int8-weights", "--target", "cpu:1,mobile", "--rounds", "3"]
    found = resume(arguments, tmp_path, kills=2)
    assert found["exit_codes"] == [0, 0]
    assert (found["differences"], found["files"]) == ([], [])
    assert len(found["killed_at_s"]) + found["finished_before_the_kill"] == 2
    assert found["killed_at_s"]


def test_times_do_not_count_and_tokens_do() -> None:
    def results(share: float, seconds: float, kind: str = "measurement") -> dict[str, object]:
        cpu = {"kind": kind, "median_s": seconds}
        variant = {"accuracy": share, "profiles": {"cpu": cpu, "mobile": {"bytes": 3}}}
        sets = [{"name": "smallest"}] + [{"name": "fastest measured on cpu"}] * (seconds > 1)
        return {"created": str(seconds), "models": [{"variants": [variant]}], "sets": sets}

    assert differences(results(0.5, 1.0), results(0.5 + 1e-12, 2.0)) == []
    (line,) = differences(results(0.5, 1.0), results(0.6, 1.0))
    assert line == "results.models[0].variants[0].accuracy: 0.5 and 0.6"
    assert differences(results(0.5, 1.0), results(0.5, 1.0, "failed"))
    other = results(0.5, 1.0)
    other["sets"] = []
    assert differences(results(0.5, 1.0), other) == ["results.sets: 1 and 0 entries"]
