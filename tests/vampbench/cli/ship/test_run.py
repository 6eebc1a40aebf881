"""The main job on the smallest models: what it writes, reuses and promises."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from optimize.truth.grades import grades_held
from vampbench.cli.main import main
from vampbench.work import job
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import staging_beside
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import RESULTS
from vampnet_models.records.results import Results

RECIPES = ("fused", "int8-weights")
ROLES = ["codec-encoder", "coarse", "c2f", "codec-decoder"]


@pytest.fixture(scope="module")
def out(tiny: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of all four models on the targets that cost no time."""
    folder = tmp_path_factory.mktemp("run") / "out"
    with pytest.raises(SystemExit) as stop:
        main(arguments(tiny, recordings, folder))
    assert stop.value.code == 0
    return folder


@pytest.fixture(scope="module")
def codec(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder and the decoder alone: transformers take longer."""
    folder = tmp_path_factory.mktemp("codec")
    for name in ("codec_encoder.onnx", "codec_decoder.onnx"):
        shutil.copy(tiny / name, folder)
    return folder


@pytest.fixture(scope="module")
def again(codec: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the codec, to run again."""
    folder = tmp_path_factory.mktemp("again") / "out"
    with pytest.raises(SystemExit) as stop:
        main(arguments(codec, recordings, folder))
    assert stop.value.code == 0
    return folder


def arguments(models: Path, recordings: Path, out: Path, *more: object) -> list[str]:
    chosen = ["--recipes", ",".join(RECIPES), "--target", "cuda,mobile"]
    return [
        "run",
        str(models),
        "--audio",
        str(recordings),
        "-o",
        str(out),
        *chosen,
        *map(str, more),
    ]


def results_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return found


def test_the_schema_of_results(out, tiny):
    results = results_of(out)
    assert results["schema"] == 1
    assert {"host", "models", "totals", "sets"} <= results.keys()
    assert [m["role"] for m in results["models"]] == ROLES
    for model in results["models"]:
        assert {"name", "role", "source_bytes", "source_sha256", "variants"} <= model.keys()
        assert model["source_bytes"] == (tiny / f"{model['name']}.onnx").stat().st_size
        assert "seeded-weights" in {problem["kind"] for problem in model["problems"]}
        assert [v["recipe"] for v in model["variants"]] == list(RECIPES)
        for variant in model["variants"]:
            assert {
                "recipe",
                "path",
                "bytes",
                "status",
                "reason",
                "accuracy",
                "profiles",
            } <= variant.keys()
            assert (variant["status"], variant["reason"]) == ("ok", None)
            assert (out / variant["path"]).stat().st_size == variant["bytes"]
            assert variant["record"]["runtime_checked"] is True
            runtime = variant["record"]["runtime"]
            assert runtime["provider"] == "CPUExecutionProvider"
            assert runtime["integer_flops"] + runtime["float_flops"] > 0
            assert (runtime["unmapped"], runtime["unresolved"]) == ([], [])
            assert variant["profiles"].keys() == {"cuda", "mobile"}
            assert variant["profiles"]["mobile"]["kind"] == "estimate"
            assert variant["profiles"]["cuda"]["kind"] in ("measurement", "not-measured")


def test_accuracy_is_of_the_role(out):
    models = {m["role"]: m for m in results_of(out)["models"]}
    for role, model in models.items():
        accuracy = model["variants"][1]["accuracy"]
        assert {"token_agreement", "floor", "per_codebook", "n_positions"} <= accuracy.keys()
        assert accuracy["n_positions"] > 0
        transforms = role in ("coarse", "c2f")
        cost = accuracy["cost_nats" if transforms else "cost_log_mel_db"]
        assert accuracy["cost_log_mel_db" if transforms else "cost_nats"] is None
        assert cost["low"] <= cost["high"] and abs(cost["floor"]) < 0.05
        assert cost["n"] > 1000 and cost["per_recording"]
        if role == "codec-decoder":
            assert accuracy["token_agreement"] is None
            assert accuracy["si_sdr_db"] > 10
            assert accuracy["log_mel_db"] > 0
        else:
            assert 0.3 < accuracy["token_agreement"] <= 1
            assert accuracy["floor"] > 0.99
    codebooks = {
        role: len(m["variants"][0]["accuracy"]["per_codebook"]) for role, m in models.items()
    }
    assert codebooks == {"codec-encoder": 14, "coarse": 4, "c2f": 10, "codec-decoder": 0}
    for role in ("coarse", "c2f"):
        accuracy = models[role]["variants"][1]["accuracy"]
        assert accuracy["n_positions"] >= 5_000
        assert len(accuracy["per_mask_ratio"]) > 3


def test_totals_and_sets_add_up(out):
    results = results_of(out)
    sizes = {(m["role"], v["recipe"]): v["bytes"] for m in results["models"] for v in m["variants"]}
    assert results["totals"] == {r: sum(sizes[role, r] for role in ROLES) for r in RECIPES}
    for mixed in results["sets"]:
        assert mixed["parts"].keys() == set(ROLES)
        assert mixed["bytes"] == sum(sizes[part] for part in mixed["parts"].items())
    named = {(m["name"], v["recipe"]): v["bytes"] for m in results["models"] for v in m["variants"]}
    named |= {(m["name"], "fp32"): m["source_bytes"] for m in results["models"]}
    assert {"cpu", "cuda", "android", "ios"} <= results["decision"].keys()
    for decided in results["decision"].values():
        smallest = decided["smallest"]
        assert smallest["bytes"] == sum(named[part] for part in smallest["parts"].items())


def test_every_variant_has_its_grades_and_the_report_shows_them(out):
    results = read_record(Results, RESULTS, out / "results.json")
    for model in results.models:
        for variant in model.variants:
            assert variant.accuracy is not None
            assert variant.grades == grades_held(model.role, variant.accuracy)
    html = (out / "report.html").read_text(encoding="utf-8")
    assert ">Grade<" in html and "not shown to be harmless" in html


def test_the_report_stands_alone(out):
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "codec_encoder" in html
    assert 'src="http' not in html
    assert 'href="http' not in html


@pytest.mark.long
def test_a_bundle_of_it_checks_itself_until_a_byte_changes(out, tmp_path, vampbench):
    folder = tmp_path / "shipped"
    made = vampbench("bundle", out, "--target", "android", "--ort", "-o", folder, "--json")
    assert made.code == 0, made.stderr
    manifest = made.result
    for model in manifest["models"]:
        assert (model["ort_reason"] is None) == model["file"].endswith(".ort")
    assert "MatMul" in (folder / "required_operators.config").read_text(encoding="utf-8")
    assert manifest["packaging"]["stores"]
    assert [m["role"] for m in manifest["models"]] == ROLES
    assert all(m["profile"] is None for m in manifest["models"]), "nothing was measured"
    assert "CC BY-NC-SA" in (folder / "LICENSE-NOTE.txt").read_text(encoding="utf-8")
    assert vampbench("check", folder).code == 0
    shown = vampbench("bundle", out, "--target", "android", "-o", tmp_path / "again").stdout
    assert "% of tokens" in shown and "dB SI-SDR" in shown
    path = folder / manifest["models"][1]["file"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    broken = vampbench("check", folder)
    assert broken.code == 1
    assert f"{path.name}: changed since the bundle was made" in broken.stderr


def test_ort_format_is_refused_where_the_onnx_file_is_wanted(out, tmp_path, vampbench):
    done = vampbench("bundle", out, "--target", "cuda", "--ort", "-o", tmp_path / "no")
    assert done.code == 2
    assert "ORT format: not for cuda" in done.stderr
    assert not (tmp_path / "no").exists()


def test_results_of_json_are_results_json(again, codec, recordings, vampbench):
    done = vampbench(*arguments(codec, recordings, again, "--json"))
    assert done.code == 0
    assert done.result == results_of(again)


def test_a_second_run_makes_nothing_again(again, codec, recordings, vampbench):
    def stamps() -> dict[Path, int]:
        made = [p for part in ("variants", "work", "audio") for p in (again / part).rglob("*")]
        return {p: p.stat().st_mtime_ns for p in made if p.suffix in (".onnx", ".json", ".wav")}

    before, accuracy = stamps(), [m["variants"] for m in results_of(again)["models"]]
    assert any(p.suffix == ".onnx" for p in before)
    done = vampbench(*arguments(codec, recordings, again))
    assert done.code == 0
    assert stamps() == before
    assert [m["variants"] for m in results_of(again)["models"]] == accuracy
    assert "reference answers" not in done.stderr
    assert "codec_decoder (codec-decoder): model 2 of 2, about " in done.stderr
    assert "[3/8] codec_decoder: int8-weights: " in done.stderr
    (kept,) = {line.strip() for line in done.stderr.splitlines() if "kept from before" in line}
    assert kept == (
        "kept from before: feeds, fused, int8-weights, comparison of fused, "
        "comparison of int8-weights, profile"
    )


def test_times_are_taken_again_where_that_is_asked_for(again, codec, recordings, vampbench):
    done = vampbench(*arguments(codec, recordings, again, "--time-again"))
    assert done.code == 0
    (kept,) = {line.strip() for line in done.stderr.splitlines() if "kept from before" in line}
    assert kept.endswith("comparison of int8-weights")


def test_a_missed_promise(again, codec, recordings, vampbench):
    done = vampbench(*arguments(codec, recordings, again, "--min-agreement", 0.999))
    assert done.code == 1
    variants = [v for m in results_of(again)["models"] for v in m["variants"]]
    missed = [v for v in variants if v["status"] == "missed"]
    assert {v["recipe"] for v in missed} == {"int8-weights"}
    for variant in variants:
        agreement = variant["accuracy"]["token_agreement"]
        assert (variant in missed) == (agreement is not None and agreement < 0.999)
    assert all("is below the 0.999 asked for" in v["reason"] for v in missed)
    assert [e.rpartition("is below")[2] for e in done.errors] == [" the 0.999 asked for"] * len(
        missed
    )
    (unbounded,) = (line for line in done.lines if "0.999 does not apply" in line)
    assert "warning: codec_decoder: " in unbounded
    assert "it is judged by its SI-SDR" in unbounded


def test_a_model_that_cannot_be_read_is_skipped(generic, tmp_path, recordings, vampbench):
    models = tmp_path / "models"
    shutil.copytree(generic, models)
    (models / "text.onnx").write_text("not a model")
    np.savez(tmp_path / "feeds.npz", x=np.ones((8, 8), np.float32))
    out = tmp_path / "out"
    done = vampbench(*arguments(models, recordings, out, "--feeds", tmp_path / "feeds.npz"))
    assert done.code == 1
    results = results_of(out)
    assert [m["name"] for m in results["models"]] == ["product"]
    assert [s["path"] for s in results["skipped"]] == ["text.onnx"]
    assert (out / "report.html").is_file()


def test_a_generic_model_on_its_own_feeds(generic, tmp_path, recordings, vampbench):
    x = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
    np.savez(tmp_path / "feeds.npz", x=x)
    out = tmp_path / "out"
    done = vampbench(*arguments(generic, recordings, out, "--feeds", tmp_path / "feeds.npz"))
    assert done.code == 0
    model = results_of(out)["models"][0]
    assert model["role"] == "generic"
    accuracy = {v["recipe"]: v["accuracy"] for v in model["variants"]}
    assert accuracy["fused"]["snr_db"] > 100
    assert 20 < accuracy["int8-weights"]["snr_db"] < 100


def test_feeds_of_other_inputs_are_refused_by_name(generic, tmp_path, recordings, vampbench):
    np.savez(tmp_path / "feeds.npz", z=np.zeros(3, np.float32))
    out = tmp_path / "out"
    done = vampbench(*arguments(generic, recordings, out, "--feeds", tmp_path / "feeds.npz"))
    assert done.code == 2
    assert "feeds.npz: holds z, which no model takes: product takes x" in done.lines[-1]
    assert not out.exists()


def test_cpu_is_measured(generic, tmp_path, recordings, vampbench):
    np.savez(tmp_path / "feeds.npz", x=np.ones((8, 8), np.float32))
    more = ("--feeds", tmp_path / "feeds.npz", "--target", "cpu:1", "--rounds", 3)
    done = vampbench(*arguments(generic, recordings, tmp_path / "out", *more))
    assert done.code == 0
    model = results_of(tmp_path / "out")["models"][0]
    for record in (model, *model["variants"]):
        cpu = record["profiles"]["cpu"]
        assert cpu["kind"] == "measurement"
        assert cpu["threads"] == 1
        assert cpu["median_s"] > 0
        assert len(cpu["samples_s"]) == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_goes_on(
    codec, recordings, tmp_path, vampbench, monkeypatch, request, number, code
):
    """The signal comes while the second variant is written."""
    # A shell's background jobs, and the tests among them, are born with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    out, made = tmp_path / "out", job.build_variant
    first = out / "variants" / "int8-weights" / "codec_encoder.onnx"

    def interrupted(*given: Any, **more: Any) -> Any:
        if first.is_file():
            with staging_beside(first.with_name("half.onnx")):
                signal.raise_signal(number)
        return made(*given, **more)

    monkeypatch.setattr(job, "build_variant", interrupted)
    stopped = vampbench(*arguments(codec, recordings, out))
    assert stopped.code == code
    assert stopped.stderr.splitlines()[-1].startswith("interrupted: ")
    assert not [p for p in out.rglob(".*") if p.is_dir()]
    kept = first.stat().st_mtime_ns
    monkeypatch.setattr(job, "build_variant", made)
    assert vampbench(*arguments(codec, recordings, out)).code == 0
    assert first.stat().st_mtime_ns == kept
    assert [m["role"] for m in results_of(out)["models"]] == [ROLES[0], ROLES[3]]


def test_each_recipe_of_a_run_can_be_listened_to(again, recordings, tmp_path, vampbench):
    done = vampbench(
        *("compare", recordings / "one.wav", "--run", again, "-o", tmp_path, "--duration", 0.5),
        "--json",
    )
    names = ["1-reference.wav", "2-fused.wav", "3-int8-weights.wav"]
    assert [each["file"] for each in done.result["files"]] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-original.wav", *names]
    lengths = {soundfile.info(str(path)).frames for path in tmp_path.iterdir()}
    assert lengths == {VAMPNET.sample_rate_hz // 2}
    reference, fused, weights = done.result["files"]
    assert reference["codes_equal"] == fused["codes_equal"] == 1
    assert weights["codes_equal"] < 1
    heard = [each["si_sdr_to_reference_db"] for each in (reference, fused, weights)]
    assert heard == sorted(heard, reverse=True)


def test_a_run_without_a_codec_cannot_be_listened_to(again, recordings, tmp_path, vampbench):
    found = results_of(again)
    found["models"] = [each for each in found["models"] if each["role"] != ROLES[0]]
    (tmp_path / "results.json").write_text(json.dumps(found))
    done = vampbench("compare", recordings / "one.wav", "--run", tmp_path, "-o", tmp_path / "heard")
    assert done.code == 2
    assert "the run holds no codec-encoder to listen through" in done.errors[0]
    assert not (tmp_path / "heard").exists()
