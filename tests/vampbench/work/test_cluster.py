"""`run --scheduler`: a real cluster of two workers gives what a run without one gives."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vampbench as vb
from bench.resume import differences
from optimize.variant import versions
from tests.tiny_graphs import product
from vampbench.api.ship.run import RunResult
from vampbench.work import job
from vampnet_models.records.generic import as_json

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
@pytest.mark.long
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
            assert "reference answers" not in done.stderr
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


@dataclass
class _Future:
    """What became of a task; its name and worker tell futures apart."""

    key: str
    status: str = "finished"
    error: Exception | None = None

    def exception(self) -> Exception | None:
        return self.error


class _Finished(list[Any]):
    """Futures as they finish: here at once, and more may come meanwhile."""

    def add(self, future: _Future) -> None:
        self.append(future)


@dataclass
class Cluster:
    """Stands in for Dask: the workers are names, and what is sent to them is done here at once."""

    workers: tuple[str, ...] = ("tcp://one:2", "tcp://one:1")
    sent: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    lost: str = ""
    addresses: list[str] = field(default_factory=list)

    def Client(self, address: str, timeout: float) -> Cluster:  # noqa: N802 - Dask's name
        assert timeout > 0
        self.addresses.append(address)
        return self

    def as_completed(self, futures: list[_Future]) -> _Finished:
        return _Finished(futures)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.workers = ()

    def run(self, look: Any, path: Path) -> dict[str, Any]:
        return {each: look(path) for each in self.workers}

    def submit(self, work: Any, job: Any, model: Path, *given: Any, **where: Any) -> _Future:
        workers = tuple(where.get("workers", ()))
        assert set(workers) <= set(self.workers)
        self.sent.append((work.__name__, model.stem, workers))
        future = _Future(f"{len(self.sent)}")
        if work.__name__ == self.lost:
            return replace(future, status="error", error=OSError("the worker's disk is full"))
        work(job, model, *given)
        return future


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setitem(sys.modules, "distributed", found)
    return found


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [product(tmp_path / f"{name}.onnx", seed) for seed, name in enumerate("ab")]


def _sent_away(models: list[Path], out: Path, scheduler: str | None = "dask://here:1") -> RunResult:
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.standard_normal((4, 64), np.float32)} for _ in range(4)]
    more = {"recipes": "int8-weights", "targets": "cuda", "scheduler": scheduler}
    return vb.run(models, out, data=feeds, command="run", **more)


def test_what_was_done_elsewhere_one_timing_at_a_time_is_not_done_again(
    cluster: Cluster, pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = _sent_away(pair, tmp_path / "alone", None)
    monkeypatch.setattr("vampbench.work.job._truth", _judged_by(cluster))
    sent = _sent_away(pair, tmp_path / "sent")
    assert sent.ok and cluster.addresses == ["tcp://here:1"]
    both = (as_json(sent.results), as_json(alone.results))
    assert differences(*both) == []
    steps = [work for work, _, _ in cluster.sent]
    assert steps == ["_convert"] * 2 + ["_verify"] * 2 + ["_profile"] * 2
    timed = [(model, workers) for work, model, workers in cluster.sent if work == "_profile"]
    # Both stand on one machine, which times one model after the other.
    assert timed == [("a", ("tcp://one:1",)), ("b", ("tcp://one:1",))]
    profiles = [v.profiles["cuda"] for m in sent.results.models for v in m.variants]
    assert all(each.host and each.host.cores for each in profiles)


def _judged_by(cluster: Cluster) -> Any:
    """The reference tokens, made by the cluster alone."""
    real = job._truth

    def truth(*given: Any) -> Any:
        assert cluster.workers, "the job judged again what the cluster had judged"
        return real(*given)

    return truth


def test_what_a_worker_could_not_do_is_named_and_done_here(
    cluster: Cluster, pair: list[Path], tmp_path: Path
) -> None:
    cluster.lost = "_verify"
    found = _sent_away(pair[:1], tmp_path / "out")
    assert found.ok
    assert "cluster: not done there, so here: the worker's disk is full" in found.warnings
    (variant,) = found.results.models[0].variants
    assert variant.judged.snr_db is not None and variant.judged.snr_db > 20


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (("", versions()), "does not see .*out; use a shared file system"),
        (None, "has {'onnxruntime': '0'}, not "),
    ],
)
def test_a_worker_that_would_make_something_else_is_refused(
    cluster: Cluster, pair: list[Path], tmp_path: Path, answer: Any, said: str
) -> None:
    def look(path: Path) -> Any:
        return answer or (path.read_text(), {"onnxruntime": "0"})

    real = cluster.run
    cluster.run = lambda _look, path: real(look, path)  # type: ignore[method-assign]
    with pytest.raises(vb.InputError, match=f"worker tcp://one:2: {said}"):
        _sent_away(pair, tmp_path / "out")
    assert cluster.sent == [] and not (tmp_path / "out" / "results.json").exists()


def test_no_worker_or_one_without_this_tool_is_told(
    cluster: Cluster, pair: list[Path], tmp_path: Path
) -> None:
    cluster.workers = ()
    with pytest.raises(vb.InputError, match="has no workers; start some with `dask worker"):
        _sent_away(pair, tmp_path / "out")

    def run(*_: object) -> Any:
        raise ModuleNotFoundError("No module named 'vampbench'")

    cluster.run = run  # type: ignore[method-assign]
    with pytest.raises(vb.InputError, match="has not this version of vampnet-workbench: No module"):
        _sent_away(pair, tmp_path / "out")


def test_a_model_that_nothing_can_be_fed_to_is_the_jobs_to_tell(
    cluster: Cluster, pair: list[Path], tmp_path: Path
) -> None:
    other = product(tmp_path / "other.onnx", width=32)
    found = _sent_away([pair[0], other], tmp_path / "out")
    assert {model for _, model, _ in cluster.sent} == {"a"}
    assert not found.ok and any(line.startswith("other: ") for line in found.missed)
