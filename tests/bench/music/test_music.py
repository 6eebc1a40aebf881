"""Seconds per 10 s of music: what a set answers, and what is told of the rounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import ROOT
from bench.music.__main__ import torch_of
from bench.music.results import summary, table
from bench.music.sets import BASELINE, PYTORCH, SETS, paths_of
from docs.cells import Json
from vampnet_models.chain.builtin import builtin_models


def test_a_set_answers_with_the_seconds_of_each_part(tmp_path: Path) -> None:
    models = builtin_models(tmp_path)
    command = [sys.executable, "-m", "bench.music.child", BASELINE]
    done = subprocess.run(
        [*command, str(models), str(tmp_path), "1"],
        input="\n",
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    row = json.loads(done.stdout)
    parts = [row[name] for name in ("sampler_s", "codec_encoder", "coarse", "c2f", "codec_decoder")]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(row["whole_s"])


def test_files_are_those_that_the_latency_benchmark_made() -> None:
    encoder, coarse, *_ = paths_of("native", Path("m"), Path("w"))
    assert encoder == Path("w/codec_encoder.fused-native.onnx")
    assert coarse == Path("w/coarse.int8-dynamic-native.onnx")
    assert paths_of(BASELINE, Path("m"), Path("w"))[3] == Path("m/codec_decoder.onnx")


def row(whole_s: float, sampler_s: float) -> Json:
    return {"whole_s": whole_s, "sampler_s": sampler_s}


def rounds_of(pytorch_s: tuple[float, ...] = ()) -> list[Json]:
    """In round n FP32 takes 8 n seconds, ours 2 n, and PyTorch n times what is given."""
    rounds = []
    for n in (1, 2, 3):
        timed = {PYTORCH: row(pytorch_s[n - 1] * n, 0.5 * n)} if pytorch_s else {}
        for name in SETS:
            timed[name] = row(8.0 * n if name == BASELINE else 2.0 * n, 0.5 * n)
        rounds.append(timed)
    return rounds


def record_of(rounds: list[Json]) -> Json:
    sets = {name: dict.fromkeys("abcd", name) for name in rounds[0]}
    content = {"host": {"cpu": "a processor"}, "threads": 2, "music_s": 10, "torch": "2.13.0"}
    return content | {"sets": sets, "rounds": rounds, "summary": summary(rounds)}


def test_speed_is_told_of_the_same_rounds() -> None:
    rounds = rounds_of()
    found = summary(rounds)
    assert found[BASELINE] == {"median_s": 16.0, "sampler_share": 0.0625}
    assert found["native"]["median_s"] == 4.0 and found["native"]["sampler_share"] == 0.25
    assert found["native"]["speedup"] == pytest.approx(4.0)
    assert "over_pytorch" not in found["native"]
    assert "speedup" not in summary(rounds[:1])["native"]


@pytest.mark.parametrize(
    ("pytorch_s", "told"),
    [
        ((14.0, 14.0, 14.0), "is reached: `portable` has 7.00 x (7.00 to 7.00)"),
        ((10.0, 10.0, 10.0), "is missed: `portable` has 5.00 x (5.00 to 5.00)"),
        ((9.0, 12.0, 14.0), "is neither reached nor missed: `portable` has 6.00 x (4.50 to 7.00)"),
    ],
)
def test_the_goal_is_told_over_pytorch(pytorch_s: tuple[float, ...], told: str) -> None:
    text = table(record_of(rounds_of(pytorch_s)))
    assert f"The goal, 6 x the speed of PyTorch 2.13.0 eager, {told}." in text


def test_pytorch_has_a_row_and_columns_where_it_was_timed() -> None:
    text = table(record_of(rounds_of((16.0, 16.0, 16.0))))
    head, rule, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| over PyTorch | 95 % interval |" in head
    assert {row.count("|") for row in (head, rule, *rows)} == {8}
    assert rows[0] == "| pytorch | 32.0 s | 0.50 x | 0.50 to 0.50 | 1 | - | 3.1% |"
    assert rows[1] == "| ort-fp32 | 16.0 s | 1 | - | 2.00 x | 2.00 to 2.00 | 6.2% |"


def test_one_round_tells_no_speed() -> None:
    text = table(record_of(rounds_of((16.0, 16.0, 16.0))[:1]))
    assert "| ort-fp32 | 8.0 s | 1 | - | - | - | 6.2% |" in text
    assert "| native | 2.0 s | - | - | - | - | 25.0% |" in text
    assert "goal" not in text


def test_that_it_was_not_timed_is_told() -> None:
    text = table(record_of(rounds_of()) | {"torch": None, "skipped": ["pytorch"]})
    assert "over PyTorch" not in text
    assert text.endswith("Skipped, for want of PyTorch: pytorch.")


def test_an_interpreter_without_pytorch_has_no_version(tmp_path: Path) -> None:
    without = tmp_path / "python"
    without.write_text("#!/bin/sh\nexit 1\n")
    without.chmod(0o755)
    assert torch_of(tmp_path / "missing") is None and torch_of(without) is None
