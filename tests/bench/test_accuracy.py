"""The comparison of quantizers: what it measures, and what it says of a tool that fails."""

import sys
from pathlib import Path

import numpy as np
import pytest

from bench import accuracy
from bench.accuracy import HERE, RUNNERS, Tool
from calibration.feedset import FeedLabel, FeedSet
from optimize.accuracy import reference_truth
from tests.workbench.conftest import write_tiny
from vampnet_models.artifact import open_artifact
from vampnet_models.spec import Role


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny")) / "coarse.onnx"


def feeds() -> FeedSet:
    rng = np.random.default_rng(0)
    made = tuple(
        {
            "codes": rng.integers(0, 1024, (1, 4, 20)),
            "mask": (rng.random((1, 4, 20)) < 0.6).astype(np.int64),
        }
        for _ in range(2)
    )
    labels = tuple(FeedLabel(f"feed {i}") for i in range(2))
    return FeedSet(Role.COARSE, made, labels, "test", "test")


def test_a_row_per_tool(
    coarse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tools = (
        Tool("ours", HERE, (*RUNNERS, "int8-static")),
        Tool("theirs", HERE, (*RUNNERS, "quantize-static-percentile")),
        Tool("broken", HERE, ("-c", "import sys; sys.exit('it broke')")),
        Tool("absent", tmp_path / "nowhere" / "bin" / "python", ()),
    )
    monkeypatch.setattr(accuracy, "TOOLS", tools)
    paths = tmp_path / "calibration.npz", tmp_path / "evaluation.npz"
    for path in paths:
        feeds().save_npz(path)
    artifact = open_artifact(coarse)
    truth = reference_truth(artifact, feeds().feeds)
    rows = accuracy.rows_of(artifact, truth, *paths, tmp_path)
    assert [row["tool"] for row in rows] == ["ours", "theirs", "broken", "absent"]
    for row in rows[:2]:
        assert 0 < row["accuracy"]["token_agreement"] <= 1
        assert 0 < row["bytes"] < artifact.bytes
        assert row["peak_rss_bytes"] > 30e6
    assert rows[2]["failed"] == "it broke"
    assert rows[3]["failed"] == "nowhere is not installed"
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4 and "failed: it broke" in said[2]
    text = accuracy.table({"models": [{"name": "coarse", "tools": rows}]})
    assert text.splitlines()[-1] == "| absent | failed |"
    assert sys.executable not in text
