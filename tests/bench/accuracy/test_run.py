"""The comparison of quantizers: what it measures, and what it says of a tool that fails."""

import json
import pickle
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy import run as accuracy
from bench.accuracy.child import Limits
from bench.accuracy.subject import Subject
from bench.accuracy.table import full_size_tools, small_tools
from bench.accuracy.tools import _HERE, _ORT_SCRIPT, _OURS_SCRIPT, TOOLS, Tool, make
from calibration.feeds.evidence import Evidence, Place, masked_codes
from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.backends.inc_script import of_one_length
from optimize.truth.accuracy import reference_truth
from profiles.host import describe_host
from tests.vampbench.conftest import write_tiny
from vampnet_models.cache import Json
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.spec import Role

_LIMITS = Limits(seconds=120)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny")) / "coarse.onnx"


def feeds(n: int = 2, frames: Sequence[int] = (20,)) -> FeedSet:
    rng = np.random.default_rng(0)
    made = tuple(
        {
            "codes": rng.integers(0, 1024, (1, 4, frames[i % len(frames)])),
            "mask": (rng.random((1, 4, frames[i % len(frames)])) < 0.6).astype(np.int64),
        }
        for i in range(n)
    )
    labels = tuple(FeedLabel(f"feed {i}") for i in range(n))
    return FeedSet(Role.COARSE, made, labels, "test", "test")


class FedSubject(Subject):
    """A subject with feeds of its own, so that no audio is read."""

    @cached_property
    def calibration(self) -> tuple[FeedSet, Path]:
        feeds().save_npz(self.work / "feeds.npz")
        return feeds(), self.work / "feeds.npz"

    @cached_property
    def truth(self) -> Path:
        windows = [
            (Place(f"song {i}", "clip", 0), feed["codes"]) for i, feed in enumerate(feeds().feeds)
        ]
        masked = masked_codes(windows, 4, given=0, ratios=[0.5, 0.9], length=None, seed=0)
        path = self.work / "truth.pickle"
        found = reference_truth(self.artifact, feeds().feeds, evidence=Evidence(masked=masked))
        path.write_bytes(pickle.dumps(found))
        return path


def writes(content: str) -> Tool:
    code = f"import pathlib, sys; pathlib.Path(sys.argv[3]).write_bytes({content})"
    return Tool("writer", _HERE, ("-c", code))


def compared(coarse: Path, tmp_path: Path, content: Json) -> Json:
    artifact, out = open_artifact(coarse), tmp_path / "record.json"
    accuracy.compare_tools([artifact], None, None, _LIMITS, tmp_path, out, content, accuracy.TOOLS)
    found: Json = json.loads(out.read_text())
    return found


def test_a_row_per_tool_and_none_made_again(
    coarse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    by_name = {tool.name: tool for tool in TOOLS}
    tools = (
        Tool("ours", _HERE, (*_OURS_SCRIPT, "int8-static")),
        by_name["onnxruntime quantize_static, percentile"],
        Tool("broken", _HERE, ("-c", "import sys; sys.exit('it broke')")),
        Tool("absent", tmp_path / "nowhere" / "bin" / "python", ()),
    )
    monkeypatch.setattr(accuracy, "TOOLS", tools)
    monkeypatch.setattr(accuracy, "Subject", FedSubject)
    here = {"host": {"cpu": describe_host().cpu}}
    record = compared(coarse, tmp_path, {**here, "models": []})
    rows = record["models"][0]["tools"]
    assert [row["tool"] for row in rows] == [tool.name for tool in tools]
    for row in rows[:2]:
        found = row["accuracy"]
        assert 0 < found["token_agreement"] <= 1
        assert 0 < found["sampled_agreement"]["low"] <= found["sampled_agreement"]["value"] <= 1
        assert found["cost_nats"]["low"] <= found["cost_nats"]["value"]
        assert set(found["cost_nats"]["per_recording"]) == {"song 0", "song 1"}
        assert 0 < row["bytes"] < open_artifact(coarse).bytes
        assert row["peak_rss_bytes"] > 30e6
        assert row["sums"] == "exact"
    assert rows[1]["settings"]["calibrate_method"] == "Percentile"
    assert rows[1]["settings"]["per_channel"] is True
    assert rows[2]["failed"] == "it broke" and rows[2]["seconds"] > 0
    assert rows[3]["failed"] == "nowhere is not installed"
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4 and "sampled" in said[0] and "failed: it broke" in said[2]

    rows[0]["seconds"] = 123.0
    elsewhere = record | {"host": {"cpu": "another"}}
    again = compared(coarse, tmp_path, elsewhere)["models"][0]["tools"]
    assert again[0]["seconds"] == 123.0 and len(again) == 4
    assert [row.get("cpu") for row in again] == [None] * 3 + [describe_host().cpu]
    assert ["absent" in line for line in capsys.readouterr().out.splitlines()] == [True]

    text = small_tools(record)
    assert "| absent | - | - | failed: nowhere is not installed |" in text
    full = full_size_tools(record | {"feeds": {"states": 4, "frames": 100}})
    assert "not an accuracy claim.* 4 calibration states of 100 frames" in full
    assert "| absent | failed, - |" in full
    assert sys.executable not in text


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        (writes("b'no model at all'"), "its model does not run: "),
        (writes("open(sys.argv[1], 'rb').read()[:-9000]"), "its model does not run: "),
        (Tool("idle", _HERE, ("-c", "pass")), "ended well and wrote no model"),
    ],
)
def test_a_model_that_does_not_load_is_a_row(
    coarse: Path, tmp_path: Path, tool: Tool, reason: str
) -> None:
    row = FedSubject(open_artifact(coarse), None, None, tmp_path).row(tool, _LIMITS)
    assert row["failed"].startswith(reason) and "accuracy" not in row
    assert str(tmp_path) not in row["failed"]


def test_weights_beside_a_model_count_and_records_do_not(coarse: Path, tmp_path: Path) -> None:
    ends = "('', '.data', '.json')"
    code = f"import sys; [open(sys.argv[3] + end, 'w').write('12345') for end in {ends}]"
    tool = Tool("splitter", _HERE, ("-c", code))
    assert make(tool, Role.COARSE, coarse, coarse, tmp_path / "out.onnx", _LIMITS)["bytes"] == 10


def test_a_tool_that_takes_too_much_is_ended(coarse: Path, tmp_path: Path) -> None:
    sleeper = Tool("sleeper", _HERE, ("-c", "import time; time.sleep(60)"))
    limits = Limits(seconds=0.05)
    row = make(sleeper, Role.COARSE, coarse, coarse, tmp_path / "out.onnx", limits)
    assert row["failed"] == "ended after its limit of 0 s" and row["seconds"] < 30


def test_settings_are_by_role() -> None:
    (nncf,) = (tool for tool in TOOLS if tool.name.startswith("NNCF"))
    assert nncf.settings_for(Role.C2F)["model_type"] == "transformer"
    assert "model_type" not in nncf.settings_for(Role.CODEC_DECODER)
    smooth = [tool for tool in TOOLS if tool.smooths]
    assert len(smooth) == 2
    assert not any(tool.takes(Role.CODEC_ENCODER) for tool in smooth)
    assert all(tool.takes(Role.COARSE) for tool in TOOLS)


def test_quantize_static_leaves_products_of_activations_in_float(
    coarse: Path, tmp_path: Path
) -> None:
    tool = next(tool for tool in TOOLS if tool.name.endswith("minmax"))
    assert tool.command == _ORT_SCRIPT
    archive, out = tmp_path / "feeds.npz", tmp_path / "made" / "coarse.onnx"
    out.parent.mkdir()
    feeds().save_npz(archive)
    assert "failed" not in make(tool, Role.COARSE, coarse, archive, out, _LIMITS)
    assert sorted(p.name for p in out.parent.iterdir()) == ["coarse.onnx", "log"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["Quark, Percentile", "ModelOpt, int8, max", "AIMET, AdaRound"])
def test_every_peer_makes_a_model_that_runs(coarse: Path, tmp_path: Path, name: str) -> None:
    tool = next(tool for tool in TOOLS if tool.name == name)
    if not tool.interpreter.is_file():
        pytest.skip(f"{tool.interpreter.parent.parent.name} is not installed")
    if "adaround" in tool.settings:
        tool = replace(tool, settings=tool.settings | {"adaround": {"num_iterations": 2}})
    row = FedSubject(open_artifact(coarse), None, None, tmp_path).row(tool, Limits(seconds=600))
    assert row["accuracy"]["sampled_agreement"]["value"] > 0.5


def test_a_record_of_other_feeds_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(accuracy.opened(path, False, "these", None)))
    assert accuracy.opened(path, True, "these", None)["audio"] == "these"
    with pytest.raises(SystemExit, match="of other feeds"):
        accuracy.opened(path, True, "others", None)


def test_smoothquant_gets_the_length_that_most_feeds_have() -> None:
    mixed = list(feeds(5, (20, 10)).feeds)
    assert [feed["codes"].shape[-1] for feed in of_one_length(mixed)] == [20, 20, 20]
    even = list(feeds(4, (10, 20)).feeds)
    assert [feed["codes"].shape[-1] for feed in of_one_length(even)] == [20, 20]
