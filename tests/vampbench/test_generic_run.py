"""A run over models that nobody knows, one of them broken, and its folder moved elsewhere."""

import json
import re
import shutil

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.tiny_graphs import product, tensor, write
from vampbench.work import job


def models_of(folder):
    """Five models of odd interfaces, each with one product, and a file that is none."""
    folder.mkdir()
    product(folder / "plain.onnx")
    rng = np.random.default_rng(1)
    weights = {"w": (rng.standard_normal((64, 64)) / 8).astype(np.float32)}
    x = tensor("x", ["n", 64])
    multiply = helper.make_node("MatMul", ["x", "w"], ["h"], name="mm")
    write(
        folder / "rank1.onnx",
        [multiply, helper.make_node("ReduceSum", ["h"], ["s"], keepdims=0)],
        [x],
        [tensor("s", []), tensor("h", ["n", 64])],
        weights,
    )
    write(folder / "unknown.onnx", [multiply], [x], [tensor("h", None)], weights)
    pieces = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    write(
        folder / "sequence.onnx",
        [multiply, helper.make_node("SplitToSequence", ["h"], ["pieces"], axis=-1)],
        [x],
        [tensor("h", ["n", 64]), helper.make_value_info("pieces", pieces)],
        weights,
    )
    chosen = helper.make_node("Where", ["keep", "x", "none"], ["c"])
    write(
        folder / "flags.onnx",
        [chosen, helper.make_node("MatMul", ["c", "w"], ["h"], name="mm")],
        [x, tensor("keep", ["n", 1], TensorProto.BOOL)],
        [tensor("h", ["n", 64])],
        weights | {"none": np.zeros(1, np.float32)},
    )
    (folder / "broken.onnx").write_bytes(b"no model")
    return folder


def run(vampbench, models, out, *more):
    chosen = ("--recipes", "int8-weights", "--target", "mobile")
    return vampbench("run", models, *chosen, "-o", out, *more)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return models_of(tmp_path_factory.mktemp("five") / "models")


def test_five_rows_and_one_reason_and_a_folder_that_moves(five, tmp_path, vampbench, monkeypatch):
    (tmp_path / "here").mkdir()
    out = tmp_path / "here" / "out"
    done = run(vampbench, five, out)
    assert done.code == 1
    assert len(re.findall(r"(?m)^\w+ +int8-weights +[\d.]+ MB ", done.stdout)) == 5
    assert done.stderr.count("warning: skipped: ") == 2
    results = json.loads((out / "results.json").read_text())
    assert [s["path"] for s in results["skipped"]] == ["broken.onnx"]
    assert {v["status"] for m in results["models"] for v in m["variants"]} == {"ok"}
    assert [m["failed_steps"] for m in results["models"]] == [[]] * 5
    assert str(tmp_path) not in (out / "results.json").read_text().replace(
        results["tool"]["command"], ""
    )

    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    shutil.move(out, elsewhere / "moved")
    monkeypatch.chdir(elsewhere)
    assert vampbench("overview", "moved").code == 0
    assert vampbench("report", "moved", "-o", "page.html").code == 0
    made = vampbench("bundle", "moved", "--target", "android", "-o", "bundled")
    assert made.code == 0, made.stderr
    manifest = json.loads((elsewhere / "bundled" / "manifest.json").read_text())
    assert len(manifest["models"]) == 5
    assert {m["role"] for m in manifest["models"]} == {"generic"}
    assert {m["name"]: m["promise"] for m in manifest["models"] if m["promise"] <= 20} == {}
    (rank1,) = (m for m in manifest["models"] if m["name"] == "rank1")
    assert (rank1["output"], [each["output"] for each in rank1["others"]]) == ("h", ["s"])
    assert "rank1: " not in made.stderr


def test_a_failure_inside_one_model_stays_there(five, tmp_path, vampbench, monkeypatch):
    models = tmp_path / "models"
    models.mkdir()
    for name in ("plain", "unknown"):
        shutil.copy(five / f"{name}.onnx", models)
    real = job.build_variant, job.profile_variants

    def build(source, *given, **more):
        if source.name == "plain":
            raise IndexError("tuple index out of range")
        return real[0](source, *given, **more)

    def profile(paths, *given, **more):
        if "unknown" in str(next(iter(paths.values()))):
            raise RuntimeError("what the library said\nthe reason")
        return real[1](paths, *given, **more)

    monkeypatch.setattr(job, "build_variant", build)
    monkeypatch.setattr(job, "profile_variants", profile)
    out = tmp_path / "out"
    done = run(vampbench, models, out)
    assert done.code == 1
    assert "Traceback" not in done.stderr
    first, second = json.loads((out / "results.json").read_text())["models"]
    assert first["variants"][0]["status"] == "failed"
    assert "unforeseen IndexError: tuple index out of range" in first["variants"][0]["reason"]
    assert second["variants"][0]["status"] == "ok"
    assert second["failed_steps"][0]["step"] == "profiling"
    assert "the reason" in second["failed_steps"][0]["reason"]
    assert "the reason" in (out / "report.html").read_text()


def test_a_model_that_runs_nowhere_has_one_row(five, tmp_path, vampbench):
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(five / "plain.onnx", models)
    nodes = [helper.make_node("Magic", ["x"], ["y"], domain="acme\x1b[31m")]
    write(
        models / "strange.onnx",
        nodes,
        [tensor("x", ["n"])],
        [tensor("y", ["n"])],
        domains=["acme\x1b[31m"],
    )
    out = tmp_path / "out"
    done = run(vampbench, models, out, "--recipes", "fused,fp16")
    assert done.code == 1
    assert (
        len([line for line in done.stdout.splitlines() if "strange " in line and "all" in line])
        == 1
    )
    assert "\x1b" not in done.stdout + done.stderr + (out / "report.html").read_text()


def test_verify_and_profile_take_any_interface(five, tmp_path, vampbench):
    (tmp_path / "alone").mkdir()
    nothing = write(
        tmp_path / "alone" / "nothing.onnx",
        [helper.make_node("Identity", ["c"], ["y"])],
        [],
        [tensor("y", [2])],
        {"c": np.ones(2, np.float32)},
    )
    usable = [path for path in sorted(five.glob("*.onnx")) if path.stem != "broken"]
    for path in (*usable, nothing):
        done = vampbench("verify", path, path)
        assert done.code == 0, done.stderr
        assert "status           ok" in done.stdout
    done = vampbench("profile", nothing, "--target", "mobile")
    assert done.code == 0, done.stderr


def test_a_generic_model_says_nothing_of_its_neighbours(five, vampbench):
    assert (five / "broken.onnx").is_file()
    done = vampbench("verify", five / "plain.onnx", five / "plain.onnx")
    assert done.code == 0
    assert "broken" not in done.stderr + done.stdout
