"""`run --scheduler`: a real cluster of two workers gives what a run without one gives."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.resume import differences

HAS_DASK = importlib.util.find_spec("distributed") is not None
needs_dask = pytest.mark.skipif(not HAS_DASK, reason="the extra dask is not installed")
OPTIONS = ("--recipes", "fused,int8-dynamic", "--target", "cpu:1,mobile", "--rounds", 3)


@pytest.fixture(scope="module")
def codec(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    for name in ("codec_encoder.onnx", "codec_decoder.onnx"):
        shutil.copy(tiny / name, folder)
    return folder


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Two worker processes on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            yield cluster.scheduler_address.replace("tcp://", "dask://")


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_the_results_are_those_without_a_cluster(
    codec: Path, recordings: Path, tmp_path: Path, scheduler: str, vampbench: Any
) -> None:
    found = {}
    for name, more in (("alone", ()), ("sent", ("--scheduler", scheduler))):
        out = tmp_path / name
        done = vampbench("run", codec, "--audio", recordings, *OPTIONS, "-o", out, *more)
        assert done.code == 0, done.stderr
        found[name] = json.loads((out / "results.json").read_text())
        if more:
            assert "cluster: conversions" in done.stderr
            # The job itself found every step done.
            assert "reference tokens" not in done.stderr
            assert "not done there" not in done.stdout + done.stderr
    profiles = [v["profiles"]["cpu"] for m in found["sent"]["models"] for v in m["variants"]]
    assert all(p["kind"] == "measurement" and p["host"]["cores"] for p in profiles)
    assert differences(found["sent"], found["alone"]) == []


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_no_scheduler_is_one_line(
    codec: Path, tmp_path: Path, vampbench: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("vampbench.work.cluster._CONNECT_S", 1)
    done = vampbench("run", codec, "-o", tmp_path / "out", "--scheduler", "dask://127.0.0.1:9")
    assert done.code == 2
    assert "no scheduler answers there" in done.lines[-1]


def test_another_form_of_address(codec: Path, tmp_path: Path, vampbench: Any) -> None:
    done = vampbench("run", codec, "-o", tmp_path / "out", "--scheduler", "tcp://here:1")
    assert done.code == 2
    assert "give dask://HOST:PORT" in done.stderr


def test_without_the_extra(codec: Path, tmp_path: Path, vampbench: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = vampbench("run", codec, "-o", tmp_path / "out", "--scheduler", "dask://here:1")
    assert done.code == 2
    assert "pip install 'vampnet-workbench[dask]'" in done.stderr
