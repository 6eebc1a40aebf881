"""Seconds per 10 s of music: what a set answers, and what is told of the rounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import ROOT
from bench.music.results import summary
from bench.music.sets import BASELINE, SETS, paths_of
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


def test_speed_is_told_of_the_same_rounds() -> None:
    def row(whole_s: float, sampler_s: float) -> dict[str, float]:
        return {"whole_s": whole_s, "sampler_s": sampler_s}

    rounds = [
        {name: row(8.0 * n if name == BASELINE else 2.0 * n, 0.5 * n) for name in SETS}
        for n in (1, 2, 3)
    ]
    found = summary(rounds)
    assert found[BASELINE] == {"median_s": 16.0, "sampler_share": 0.0625}
    assert found["native"]["median_s"] == 4.0 and found["native"]["sampler_share"] == 0.25
    assert found["native"]["speedup"] == pytest.approx(4.0)
    assert "speedup" not in summary(rounds[:1])["native"]
