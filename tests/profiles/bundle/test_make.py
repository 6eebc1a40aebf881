import json
import re
import subprocess
import sys
import wave
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from profiles.bundle.bundled import selfcheck as script
from profiles.bundle.make import Part, promise, write_bundle
from profiles.targets.order import find_target
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import open_artifact, sha256_of
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import MANIFEST
from vampnet_models.records.manifest import (
    BundledFile,
    BundledModel,
    Manifest,
    PromisedOutput,
)
from vampnet_models.records.profiles import Measurement

FRAMES = 40


def tiny(path: Path, factor: float) -> Path:
    """tokens = int(codes * factor), with a weight so that there is a byte to change."""
    ints = [helper.make_tensor_value_info("codes", TensorProto.INT64, [1, 4, "frames"])]
    out = [helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, 4, "frames"])]
    nodes = [
        helper.make_node("Cast", ["codes"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "factor"], ["y"]),
        helper.make_node("Cast", ["y"], ["tokens"], to=TensorProto.INT64),
    ]
    weight = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
    graph = helper.make_graph(nodes, "tiny", ints, out, [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path)
    return path


def part(folder: Path, answered: np.ndarray | None = None) -> Part:
    codes = np.arange(4 * FRAMES).reshape(1, 4, FRAMES)
    return Part(
        name="coarse",
        artifact=open_artifact(tiny(folder / "coarse.onnx", 2.0)),
        recipe="int8-dynamic",
        source_sha256="0" * 64,
        output="tokens",
        feeds={"codes": codes},
        references={"tokens": 2 * codes if answered is None else answered},
        variants={"tokens": 2 * codes},
        counted=np.ones((1, 1, 1), bool),
        accuracy=None,
        profile=None,
    )


def bundle(folder: Path, target: str = "cpu") -> Path:
    out = folder / "my bundle"
    write_bundle([part(folder)], out, target=find_target(target), weights="x")
    return out


def selfcheck(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(folder / "selfcheck.py"), "--json", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_a_bundle_checks_itself(tmp_path: Path) -> None:
    out = bundle(tmp_path)
    code, found = selfcheck(out)
    assert code == 0 and found["ok"] and found["problems"] == []
    (row,) = found["models"]
    assert row["to_reference"] == row["to_maker"] == 1.0
    assert row["promise"] == 0.98 and row["median_s"] > 0
    assert row["audio_s"] == pytest.approx(FRAMES * 768 / 44_100)
    names = {file["name"] for file in json.loads((out / "manifest.json").read_text())["files"]}
    assert names == {
        "LICENSE-NOTE.txt",
        "TELEMETRY-NOTE.txt",
        "example.py",
        "open_models.py",
        "golden.npz",
        "models/coarse.onnx",
        "selfcheck.py",
    }


@pytest.mark.parametrize("name", ["models/coarse.onnx", "golden.npz", "LICENSE-NOTE.txt"])
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    path = bundle(tmp_path) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    code, found = selfcheck(tmp_path / "my bundle")
    assert code == 1
    assert found["problems"] == [f"{name}: changed since the bundle was made; copy it again"]


def test_tokens_below_the_promise_fail(tmp_path: Path) -> None:
    out = bundle(tmp_path)
    path = tiny(out / "models" / "coarse.onnx", 3.0)
    manifest = json.loads((out / "manifest.json").read_text())
    (entry,) = [file for file in manifest["files"] if file["name"] == "models/coarse.onnx"]
    entry["sha256"] = sha256_of((path,))
    (out / "manifest.json").write_text(json.dumps(manifest))
    code, found = selfcheck(out)
    assert code == 1 and not found["models"][0]["ok"]
    assert found["models"][0]["to_reference"] == pytest.approx(1 / (4 * FRAMES))


def test_a_provider_that_is_missing_is_named(tmp_path: Path) -> None:
    code, found = selfcheck(bundle(tmp_path), "--provider", "NoSuchProvider")
    assert code == 1 and "NoSuchProvider: not in this onnxruntime" in found["problems"][0]


@pytest.mark.parametrize(
    ("target", "provider"),
    [("cpu", None), ("ios", "CoreMLExecutionProvider"), ("android-npu", "QNNExecutionProvider")],
)
def test_what_was_not_exercised_is_said(tmp_path: Path, target: str, provider: str | None) -> None:
    out = bundle(tmp_path, target)
    assert selfcheck(out)[1]["not_exercised"] == provider
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["target_provider"] == (provider or "CPUExecutionProvider")
    done = subprocess.run(
        [sys.executable, str(out / "selfcheck.py")], capture_output=True, text=True, check=True
    )
    assert (f"not exercised: {provider}" in done.stdout) == (provider is not None)


def test_the_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    written = write_bundle([part(tmp_path)], out, target=find_target("ios"), weights="x")
    assert read_record(Manifest, MANIFEST, out / "manifest.json") == written
    assert {file.name for file in written.files} >= {"models/coarse.onnx", "selfcheck.py"}
    # The script stands alone, so it has the version and its part of the fields once more.
    assert MANIFEST.written == script.SCHEMA
    for own, ours in (
        (script.Manifest, Manifest),
        (script.Entry, BundledModel),
        (script.Promised, PromisedOutput),
        (script.File, BundledFile),
    ):
        # What a model promises of its first output stands in the model itself.
        assert {f.name for f in fields(own)} - {"outputs"} <= {f.name for f in fields(ours)}
    manifest, _ = script.read_manifest(out)
    (entry,) = manifest.models
    assert entry.outputs == (script.Promised("tokens", "tokens", written.models[0].promise),)


def test_a_manifest_with_a_profile_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = bundle(tmp_path) / "manifest.json"
    values = json.loads(path.read_text())
    measured = {"kind": "measurement", "target": "cpu", "median_s": 0.1}
    values["models"][0]["profile"] = measured | {"low_s": None, "assumptions": []}
    path.write_text(json.dumps(values))
    (model,) = read_record(Manifest, MANIFEST, path).models
    assert model.profile == Measurement(target="cpu", median_s=0.1)


def test_a_field_that_no_manifest_has_is_named(tmp_path: Path) -> None:
    path = bundle(tmp_path) / "manifest.json"
    values = json.loads(path.read_text())
    values["models"][0]["licence"] = "mine"
    path.write_text(json.dumps(values))
    said = r"models\[0\].licence: no such field; make the bundle again"
    with pytest.raises(InputError, match=said):
        read_record(Manifest, MANIFEST, path)


def test_answers_that_are_not_finite_promise_nothing(tmp_path: Path) -> None:
    sound = np.ones((1, 1, 4), np.float32)
    broken = replace(
        part(tmp_path), references={"tokens": sound}, variants={"tokens": np.nan * sound}
    )
    with pytest.raises(PromiseMissed, match="coarse: int8-dynamic: answers NaN or infinity"):
        write_bundle([broken], tmp_path / "bundle", target=find_target("cpu"), weights="x")
    assert not (tmp_path / "bundle").exists()


def test_a_manifest_of_another_kind_is_one_line(tmp_path: Path) -> None:
    out = bundle(tmp_path)
    (out / "manifest.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, str(out / "selfcheck.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "FAIL: manifest.json here is none of schema 1; make the bundle again"
    ]


def test_how_fast_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(bundle(tmp_path) / "selfcheck.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"[\d.]+ ms for 0\.7 s of sound, [\d.e+]+ x faster than it plays", done.stdout)


def test_the_example_is_short() -> None:
    text = files("profiles.bundle.bundled").joinpath("example.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "`python example.py IN.wav OUT.wav`" in line


def coded(folder: Path) -> Path:
    """A folder with the example, and a codec whose files and tensors have names of their own."""
    number = helper.make_tensor_value_info
    made = {
        "front": (
            [
                helper.make_node("MaxPool", ["sound"], ["peak"], kernel_shape=[4], strides=[4]),
                helper.make_node("Mul", ["peak", "k"], ["loud"]),
                helper.make_node("Cast", ["loud"], ["units"], to=TensorProto.INT64),
            ],
            number("sound", TensorProto.FLOAT, [1, 1, "n"]),
            number("units", TensorProto.INT64, [1, 1, "m"]),
            helper.make_tensor("k", TensorProto.FLOAT, [], [1000.0]),
        ),
        "back": (
            [
                helper.make_node("Cast", ["units"], ["x"], to=TensorProto.FLOAT),
                helper.make_node("ConvTranspose", ["x", "k"], ["heard"], strides=[4]),
            ],
            number("units", TensorProto.INT64, [1, 1, "m"]),
            number("heard", TensorProto.FLOAT, [1, 1, "n"]),
            helper.make_tensor("k", TensorProto.FLOAT, [1, 1, 4], [0.001] * 4),
        ),
    }
    models = []
    for (name, (nodes, given, answer, weight)), role in zip(
        made.items(), ("codec-encoder", "codec-decoder"), strict=True
    ):
        graph = helper.make_graph(nodes, name, [given], [answer], [weight])
        opset = [helper.make_opsetid("", 21)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), folder / name)
        models.append({"name": name, "role": role, "file": name, "output": answer.name})
    family = {"sample_rate_hz": 8000, "hop_samples": 4, "n_coarse_codebooks": 0}
    manifest = {"models": models, "provider": "CPUExecutionProvider", "family": family}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for name in ("open_models.py", "example.py"):
        text = files("profiles.bundle.bundled").joinpath(name).read_text(encoding="utf-8")
        (folder / name).write_text(text)
    return folder


def test_the_example_takes_models_by_role_under_any_name(tmp_path: Path) -> None:
    folder = coded(tmp_path)

    def example(given: str, made: str = "made.wav") -> str:
        command = [sys.executable, "example.py", given, made]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder
        ).stderr

    (folder / "noise.wav").write_bytes(b"no sound")
    assert example("none.wav").splitlines() == [
        "none.wav: is no WAV that can be read: No such file or directory"
    ]
    assert len(example("noise.wav").splitlines()) == 1
    with wave.open(str(folder / "song.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.full(10, 8192, np.int16).tobytes())
    assert example("song.wav", "nowhere/made.wav").splitlines() == [
        "nowhere/made.wav: its folder does not exist; make it, or give another file"
    ]
    assert example("song.wav") == ""
    with wave.open(str(folder / "made.wav")) as file:
        made = np.frombuffer(file.readframes(99), np.int16)
    assert made.tolist() == [8191] * 10


def test_the_promise_leaves_three_standard_errors(tmp_path: Path) -> None:
    wrong = 2 * np.arange(4 * FRAMES).reshape(1, 4, FRAMES)
    wrong[0, 0, :] += 1
    share, n = 0.75, 4 * FRAMES
    expected = share - 3 * np.sqrt(share * (1 - share) / n)
    assert promise(part(tmp_path, wrong), "tokens") == pytest.approx(expected)


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    out = bundle(tmp_path)
    with pytest.raises(InputError, match="is there already"):
        bundle(tmp_path)
    assert selfcheck(out)[0] == 0
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("target", "by"),
    [
        ("cpu", "environment"),
        ("android", "android.system.Os.setenv"),
        ("ios", "setenv"),
    ],
)
def test_how_telemetry_is_turned_off_is_values(tmp_path, target, by):
    told = json.loads((bundle(tmp_path, target) / "manifest.json").read_text())["telemetry"]
    assert told["on_by_default"] is True
    assert (told["variable"], told["value"]) == ("ORT_DISABLE_TELEMETRY", "1")
    assert told["set_with"] == by and told["before"]
    note = (tmp_path / "my bundle" / "TELEMETRY-NOTE.txt").read_text()
    assert told["text"] in " ".join(note.split())
