"""`bundle` and `check` say what ships, and refuse a run whose files are no longer those it made."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import vampbench as vb
from profiles.bundle.make import promise, reached
from profiles.targets.order import find_target
from tests.npz import grown
from tests.tiny_graphs import product, tensor, write
from tests.vampbench.conftest import Finished
from vampbench.work import parts
from vampnet_models.errors import PromiseMissed
from vampnet_models.onnxfile.artifact import open_artifact, sha256_of
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import MANIFEST, RESULTS
from vampnet_models.records.manifest import Manifest
from vampnet_models.records.results import Results

Command = Callable[..., Finished]
RNG = np.random.default_rng(0)
FEEDS = [{"x": RNG.standard_normal((4, 64), np.float32)} for _ in range(4)]


def run(models: Path, out: Path, feeds: Any, recipe: str = "int8-weights") -> Path:
    """A finished run on the targets that cost no time."""
    found = vb.run(models, out, data=feeds, recipes=recipe, targets="mobile")
    assert found.ok, found.missed
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of no known role, and its run below."""
    folder = tmp_path_factory.mktemp("finished")
    product(folder / "m.onnx")
    run(folder / "m.onnx", folder / "out", FEEDS)
    return folder


@pytest.fixture
def moved(finished: Path, tmp_path: Path) -> Path:
    """A copy of both, to change."""
    return Path(shutil.copytree(finished, tmp_path / "moved"))


@pytest.fixture(scope="module")
def packed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the run for Android."""
    return vb.bundle(finished / "out", "android", tmp_path_factory.mktemp("packed") / "b").output


def test_what_ships_is_told_with_its_promise_and_its_hash(
    finished: Path, tmp_path: Path, vampbench: Command
) -> None:
    out = tmp_path / "bundle"
    done = vampbench("bundle", finished / "out", "--target", "android", "-o", out)
    assert done.code == 0, done.stderr
    manifest = read_record(Manifest, MANIFEST, out / "manifest.json")
    (model,) = manifest.models
    lines = done.stdout.splitlines()
    (row,) = [line.split() for line in lines if line.startswith("m ")]
    assert row[:3] == ["m", "int8-weights", "onnx"] and model.promise is not None
    assert row[-3:] == [f"{model.promise:.1f}", "dB", "SQNR"]
    digest = hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    assert f"  sha256     {digest} of the manifest; " in done.stdout
    (zipped,) = [line for line in lines if line.startswith("  zipped ")]
    assert all(store.store in zipped and store.fits for store in manifest.packaging.stores)
    assert f"{manifest.packaging.zipped_bytes / 1e6:.2f} MB; fits" in zipped


def test_models_of_the_run_that_do_not_ship_are_told(moved: Path, vampbench: Command) -> None:
    path = moved / "out" / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    lost = {"recipe": "int8-weights", "status": "failed", "reason": "no kernel"}
    results["models"].append(results["models"][0] | {"name": "half", "variants": [lost]})
    results["pending"] = ["later"]
    results["skipped"] = [{"path": "text.onnx", "reason": "is no model"}]
    path.write_text(json.dumps(results), encoding="utf-8")
    asked = ("bundle", moved / "out", "--target", "android", "-o", moved / "b")
    refused = vampbench(*asked)
    assert refused.code == 2 and "later not done yet; " in refused.stderr
    assert "or name what to pack: --recipe" in refused.stderr and not (moved / "b").exists()
    done = vampbench(*asked, "--recipe", "m=int8-weights", "--json")
    assert done.code == 0, done.stderr
    assert [model["name"] for model in done.result["models"]] == ["m"]
    stopped, *others = done.answer["warnings"]
    assert f"{moved / 'out'}: the run has not ended: later not done yet; " in stopped
    assert others == [
        "half is not in the bundle: it has no usable variant: no kernel",
        "text.onnx is not in the bundle: is no model",
    ]


def test_ort_format_ships_where_it_was_asked_for(
    finished: Path, tmp_path: Path, vampbench: Command
) -> None:
    out = tmp_path / "bundle"
    target = ("--target", "android", "--ort")
    done = vampbench("bundle", finished / "out", *target, "-o", out, "--json")
    assert done.code == 0, done.stderr
    (model,) = done.result["models"]
    assert model["file"].endswith(".ort") and model["ort_reason"] is None
    assert "m  int8-weights  ort" in " ".join(done.stderr.split()).replace(" ", "  ")
    assert vampbench("check", out).code == 0


def test_a_provider_that_only_the_phone_has_is_told(
    finished: Path, tmp_path: Path, vampbench: Command
) -> None:
    out = tmp_path / "bundle"
    chosen = ("--target", "ios", "--recipe", "int8-weights")
    done = vampbench("bundle", finished / "out", *chosen, "-o", out)
    assert done.code == 0, done.stderr
    assert "CoreMLExecutionProvider was not exercised" in done.stderr
    checked = vampbench("check", out, "--json")
    assert checked.code == 0 and checked.result["ok"]
    assert checked.result["not_exercised"] == "CoreMLExecutionProvider"
    assert "CoreMLExecutionProvider was not exercised" in checked.answer["warnings"][0]


def test_stores_limits_are_a_phones(finished: Path, tmp_path: Path, vampbench: Command) -> None:
    chosen = ("--target", "cpu", "--recipe", "int8-weights")
    done = vampbench("bundle", finished / "out", *chosen, "-o", tmp_path / "bundle")
    assert done.code == 0 and "sha256" in done.stdout and "zipped" not in done.stdout


def test_check_compares_the_manifests_hash_where_it_is_given(
    packed: Path, vampbench: Command
) -> None:
    digest = hashlib.sha256((packed / "manifest.json").read_bytes()).hexdigest()
    same = vampbench("check", packed, "--manifest-sha256", digest.upper())
    assert same.code == 0 and f"manifest sha256 {digest} (as given)" in same.stdout
    (row,) = [line.split() for line in same.stdout.splitlines() if line.startswith("m ")]
    assert row[1:3] == ["y", "ok"] and row[-1] in ("ms", "µs")
    other = vampbench("check", packed, "--manifest-sha256", "0" * 64)
    assert other.code == 1 and f"error: {packed}: " in other.errors[0]
    none = vampbench("check", packed, "--manifest-sha256", "12ab")
    assert none.code == 2 and "12ab: is no SHA-256" in none.errors[0]


def test_a_damaged_bundle_is_told_without_an_empty_table(
    packed: Path, tmp_path: Path, vampbench: Command
) -> None:
    folder = Path(shutil.copytree(packed, tmp_path / "bundle"))
    (model,) = folder.glob("**/*.onnx")
    model.write_bytes(model.read_bytes()[:-1])
    done = vampbench("check", folder)
    assert done.code == 1 and "changed since the bundle was made" in done.errors[0]
    assert "Self-check" not in done.stdout


def test_a_promise_that_no_longer_holds_fails_the_check(
    packed: Path, tmp_path: Path, vampbench: Command
) -> None:
    folder = Path(shutil.copytree(packed, tmp_path / "bundle"))
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["models"][0]["promise"] += 60
    path.write_text(json.dumps(manifest), encoding="utf-8")
    done = vampbench("check", folder)
    assert done.code == 1 and "promised" in done.errors[0]
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("m ")]
    assert row[2] == "FAILED" and float(row[3]) < float(row[6])


def test_tokens_are_promised_where_a_model_gives_them(
    tiny: Path, tmp_path: Path, vampbench: Command
) -> None:
    feeds = [
        {
            "codes": RNG.integers(0, 1024, (1, 4, 12)),
            "mask": RNG.integers(0, 2, (1, 4, 12)),
        }
        for _ in range(4)
    ]
    out = run(tiny / "coarse.onnx", tmp_path / "out", feeds, "fused")
    made = vampbench("bundle", out, "--target", "cpu", "--recipe", "fused", "-o", tmp_path / "b")
    assert made.code == 0 and "98.00 % of tokens" in made.stdout
    with np.load(tmp_path / "b" / "golden.npz") as golden:
        mask = golden["coarse/in/mask"]
        assert (golden["coarse/counted"] == mask.astype(bool)).all() and 0 < mask.mean() < 1
    checked = vampbench("check", tmp_path / "b")
    assert checked.code == 0 and "100.00 % of tokens  98.00 % of tokens" in checked.stdout


def test_a_run_that_kept_no_answers_asks_its_source_again(moved: Path, tmp_path: Path) -> None:
    golden = moved / "out" / "golden" / "m.npz"
    grown(golden, tmp_path / "grown.npz", "out/y").replace(golden)
    packed = vb.bundle(moved / "out", "android", moved / "bundle", recipe="int8-weights")
    source = open_artifact(moved / "m.onnx")
    assert packed.manifest.models[0].source_sha256 == source.sha256
    with np.load(packed.output / "golden.npz") as found:
        (expected,) = open_session(source.path).run({"x": found["m/in/x"]}).values()
        np.testing.assert_array_equal(found["m/reference"], expected)


@pytest.mark.parametrize(
    ("which", "change", "said"),
    [
        ("m.onnx", None, "the source model is not there, and the run kept no answer of it"),
        ("m.onnx", 1, "m.onnx: changed since the run; run again"),
        ("out/variants/int8-weights/m.onnx", 1, "m.onnx: changed since the run; run again"),
    ],
)
def test_files_that_are_not_the_runs_are_refused(
    moved: Path, which: str, change: int | None, said: str
) -> None:
    (moved / "out" / "golden" / "m.npz").unlink()
    if change is None:
        (moved / which).unlink()
    else:
        product(moved / which, seed=change)
    with pytest.raises(vb.InputError, match=said):
        vb.bundle(moved / "out", "android", moved / "bundle", recipe="int8-weights")
    assert not (moved / "bundle").exists()


def test_answers_that_are_no_numbers_can_not_be_promised(tmp_path: Path) -> None:
    weight = {"w": np.eye(64, dtype=np.float32), "zero": np.zeros(1, np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="product"),
        helper.make_node("Greater", ["h", "zero"], ["y"]),
    ]
    outputs = [tensor("y", ["n", 64], TensorProto.BOOL)]
    write(tmp_path / "m.onnx", nodes, [tensor("x", ["n", 64])], outputs, weight)
    out = run(tmp_path / "m.onnx", tmp_path / "out", FEEDS)
    with pytest.raises(vb.InputError, match="answers nothing that a bundle can promise"):
        vb.bundle(out, "android", tmp_path / "bundle", recipe="int8-weights")


def _with_state(path: Path, state_gain: float) -> None:
    """y and state of one product; `state_gain` 0 is what a broken kernel may make of the state."""
    weight = {
        "w": np.random.default_rng(3).standard_normal((64, 64)).astype(np.float32) / 8,
        "gain": np.array([state_gain], np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="product"),
        helper.make_node("Tanh", ["h"], ["y"]),
        helper.make_node("Mul", ["h", "gain"], ["state"]),
        helper.make_node("ArgMax", ["h"], ["index"], axis=1, keepdims=0),
    ]
    outputs = [
        tensor("y", ["n", 64]),
        tensor("state", ["n", 64]),
        tensor("index", ["n"], TensorProto.INT64),
    ]
    write(path, nodes, [tensor("x", ["n", 64])], outputs, weight)


def test_every_output_is_promised_and_checked_by_name(tmp_path: Path, vampbench: Command) -> None:
    _with_state(tmp_path / "m.onnx", 1.0)
    out = run(tmp_path / "m.onnx", tmp_path / "out", FEEDS, "fused")
    made = vampbench("bundle", out, "--target", "cpu", "--recipe", "fused", "-o", tmp_path / "b")
    assert made.code == 0 and "promised and checked" not in made.stderr
    (model,) = read_record(Manifest, MANIFEST, tmp_path / "b" / "manifest.json").models
    assert [model.output, *(each.output for each in model.others)] == ["y", "state", "index"]
    assert [model.measure, *(each.measure for each in model.others)] == ["sqnr", "sqnr", "tokens"]
    # The same in FP32: what is promised is the most that is.
    assert [model.promise, model.others[0].promise] == [77.0, 77.0]
    script = [sys.executable, str(tmp_path / "b" / "selfcheck.py")]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert all(f"m               {name:10} ok" in done.stdout for name in ("y", "state", "index"))

    shipped = tmp_path / "b" / model.file
    _with_state(shipped, 0.0)
    path = tmp_path / "b" / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for file in values["files"]:
        if file["name"] == model.file:
            file["bytes"], file["sha256"] = shipped.stat().st_size, sha256_of((shipped,))
    path.write_text(json.dumps(values), encoding="utf-8")
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert "m: state: 0.0 dB to the FP32 reference, promised 77.0 dB" in told
    assert "m: y:" not in told and "m: index:" not in told


def test_an_ort_file_that_answers_worse_than_was_promised_is_refused(
    finished: Path, tmp_path: Path
) -> None:
    out, target = finished / "out", find_target("android")
    results = read_record(Results, RESULTS, out / "results.json")
    given = (results, out, {"m": "int8-weights"}, target, tmp_path, Reporter())
    (part,) = parts.parts_of(*given)
    kept = parts.part_in_ort_format(part, tmp_path, Reporter())
    assert kept.files[0].suffix == ".ort" and reached(kept, part.output) >= promise(
        part, part.output
    )
    boasting = replace(part, variants=part.references)
    with pytest.raises(PromiseMissed, match=r"the \.onnx file promised .*; bundle the \.onnx file"):
        parts.part_in_ort_format(boasting, tmp_path, Reporter())


def test_what_is_packed_is_what_the_run_made(finished: Path, packed: Path) -> None:
    (shipped,) = packed.glob("models/*.onnx")
    made = finished / "out" / "variants" / "int8-weights" / "m.onnx"
    assert sha256_of((shipped,)) == sha256_of((made,))
