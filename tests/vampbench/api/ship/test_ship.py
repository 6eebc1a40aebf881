"""The whole way from Python: run, look, bundle, check; nothing is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vampbench as vb
from calibration.feeds.source import Source
from tests.tiny_graphs import product
from vampbench.api.ship.bundle import check
from vampbench.api.ship.given import given_models
from vampbench.api.ship.reports import compare_runs, overview, write_report
from vampbench.api.ship.run import RunResult
from vampbench.work import job
from vampnet_models.chain.families import of_family
from vampnet_models.family import codec_family
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.results import Model

RNG = np.random.default_rng(0)
FEEDS = [{"x": RNG.standard_normal((4, 64), np.float32)} for _ in range(4)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run over one good model and one that is none."""
    folder = tmp_path_factory.mktemp("whole")
    product(folder / "m.onnx")
    (folder / "broken.onnx").write_bytes(b"no model")
    return vb.run(
        [folder / "m.onnx", folder / "broken.onnx"],
        folder / "out",
        data=FEEDS,
        recipes=["int8-weights"],
        targets="mobile",
    )


def test_a_run_says_what_it_missed_by_values(
    made: RunResult, capfd: pytest.CaptureFixture[str]
) -> None:
    assert capfd.readouterr() == ("", "")
    assert [v.status for m in made.results.models for v in m.variants] == ["ok"]
    (missed,) = made.missed
    assert "broken.onnx" in missed and not made.ok
    assert any("broken.onnx" in warning for warning in made.warnings)
    assert made.results_path.is_file() and made.report_path.is_file()
    assert made.results.tool.command == "vampbench.run"
    shown = made._repr_html_()
    assert "int8-weights" in shown and "broken.onnx" in shown


def test_the_same_run_again_keeps_what_is_done(made: RunResult, tmp_path: Path) -> None:
    variant = made.output / "variants" / "int8-weights" / "m.onnx"
    before, steps = variant.stat().st_mtime_ns, []
    again = vb.run(
        made.output.parent / "m.onnx",
        made.output,
        data=FEEDS,
        recipes="int8-weights",
        targets="mobile",
        progress=lambda text, _done, _of: steps.append(text),
    )
    assert again.ok and variant.stat().st_mtime_ns == before
    assert not any("verifying" in step or "profiling" in step for step in steps)


def test_a_run_that_was_stopped_says_what_it_has_not_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [product(tmp_path / f"{name}.onnx", seed) for seed, name in enumerate("ab")]
    told = job._model

    def stopped(artifact: Artifact, *rest: Any) -> Model:
        if artifact.name == "b":
            raise KeyboardInterrupt
        return told(artifact, *rest)

    chosen: dict[str, Any] = {"data": FEEDS, "recipes": "fused", "targets": "mobile"}
    with monkeypatch.context() as patch:
        patch.setattr(job, "_model", stopped)
        with pytest.raises(KeyboardInterrupt):
            vb.run(paths, tmp_path / "out", **chosen)
    assert overview(tmp_path / "out").results.pending == ("b",)
    assert vb.run(paths, tmp_path / "out", **chosen).results.pending == ()


def test_what_a_run_says_and_ships(made: RunResult, tmp_path: Path) -> None:
    found = overview(made.output)
    assert found.decision == made.results.decision == vb.decide(made.output) != {}
    assert found.lengths["m"].accepts
    assert write_report(made.output, tmp_path / "r.html").read_text(encoding="utf-8")
    page, changes = compare_runs(made.output, made.output, tmp_path / "c.html")
    assert page.is_file() and [row.recipe for row in changes.rows] == ["int8-weights"]

    packed = vb.bundle(made.output, "android", tmp_path / "bundle", recipe="int8-weights")
    assert [(m.name, m.recipe) for m in packed.manifest.models] == [("m", "int8-weights")]
    report = check(packed.output, manifest_sha256=packed.manifest_sha256)
    assert report.ok and report.manifest_compared
    with pytest.raises(vb.InputError, match="is there already"):
        vb.bundle(made.output, "android", packed.output)
    with pytest.raises(vb.InputError, match="is no bundle"):
        check(tmp_path)
    with pytest.raises(vb.InputError, match="ORT format: not for cuda"):
        vb.bundle(made.output, "cuda", tmp_path / "ort", ort=True)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"rounds": 2}, r"rounds: 2 is not in the range 3<=x<=10000"),
        ({"threads": 10**6}, "threads: .* cores are there; give 0 to"),
        ({"min_agreement": float("nan")}, "nan is no finite number"),
        ({"recipes": "int7"}, "int7: no such recipe; choose from"),
        ({"recipes": []}, "no recipe given"),
        ({"targets": "toaster"}, "toaster"),
        ({"scheduler": "here", "time_again": True}, "leave one of them out"),
        ({"scheduler": "here"}, "give dask://HOST:PORT"),
    ],
)
def test_a_mistake_is_told_before_any_work(
    tmp_path: Path, mistake: dict[str, object], said: str
) -> None:
    model = product(tmp_path / "m.onnx")
    with pytest.raises(vb.InputError, match=said):
        vb.run(model, tmp_path / "out", data=FEEDS, **mistake)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"max_latency": 0}, "max_latency: 0 is not in the range 0<x"),
        ({"max_bytes": 0}, "max_bytes: 0 is not in the range 1<=x"),
        ({"min_si_sdr_db": float("inf")}, "inf is no finite number"),
        ({"target": "cuda"}, "cuda"),
    ],
)
def test_a_budget_that_is_none_is_told(
    tmp_path: Path, mistake: dict[str, object], said: str
) -> None:
    model = product(tmp_path / "m.onnx")
    with pytest.raises(vb.InputError, match=said):
        vb.tune(model, tmp_path / "out", data=FEEDS, **mistake)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_models_are_one_at_least_and_each_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    models = [product(tmp_path / "m.onnx"), product(tmp_path / "other" / "m.onnx")]
    with pytest.raises(vb.InputError, match="has the name of"):
        vb.run(iter(models), tmp_path / "out", data=FEEDS)
    with pytest.raises(vb.InputError, match="no model was given"):
        vb.tune([], tmp_path / "out", data=FEEDS)
    assert not (tmp_path / "out").exists()


def test_the_rate_of_opened_models_is_theirs_in_a_run(tmp_path: Path) -> None:
    family = codec_family("a codec", 16_000, 320, 9)
    path = product(tmp_path / "m.onnx")
    opened = of_family(vb.open_models(path)["m"], family)
    for models in ({"any": opened}, (each for each in [opened])):
        paths, source = given_models(models, tmp_path / "out", Source(), Reporter())
        assert (paths, source.sample_rate_hz) == ((path,), 16_000)
    told = Source(sample_rate_hz=24_000)
    assert given_models(opened, tmp_path / "out", told, Reporter())[1].sample_rate_hz == 24_000
