"""CUDA's figures, with and without a device; no test needs one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from profiles.measure.measure import DEFAULT_PLAN
from profiles.measure.stats import summarise
from profiles.place import Place
from profiles.targets import cuda
from profiles.targets.contract import Request
from profiles.targets.cuda import CUDA
from tests.profiles import graphs
from vampnet_models.errors import InputError
from vampnet_models.records.generic import as_json
from vampnet_models.records.profiles import Failure, Measurement

PROVIDER = "CUDAExecutionProvider"
PLACE = Place("cuda", PROVIDER)


def profiled(folder: Path, *models: onnx.ModelProto, **shapes: tuple[int, ...]) -> dict[str, Any]:
    """The record of each model, by its number."""
    variants = {str(i): graphs.save(proto, folder / f"{i}.onnx") for i, proto in enumerate(models)}
    feeds = graphs.save_feeds(folder / "feeds.npz", **{k: np.zeros(v) for k, v in shapes.items()})
    found = CUDA.profiler.profile(
        Request(variants, feeds, shapes, PLACE, DEFAULT_PLAN, False, (CUDA,), lambda *_: None)
    )
    read: dict[str, Any] = json.loads(json.dumps(as_json(found)))
    return read


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime without CUDA, as most machines have it."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime with CUDA."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER])


def integers(kind: type[np.generic]) -> onnx.ModelProto:
    """An integer product of such inputs."""
    return graphs.model(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"], name="product")],
        [("x", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), ["rows", 8])],
        [("y", TensorProto.INT32, ["rows", 4])],
        {"w": np.ones((8, 4), np.int8)},
    )


@pytest.mark.usefixtures("absent")
def test_without_the_provider_the_record_tells_what_the_file_tells(tmp_path: Path) -> None:
    record = profiled(tmp_path, graphs.qdq_conv(), x=(1, 8, 100))["0"]
    assert record["kind"] == "not-measured"
    assert "has no CUDAExecutionProvider; run, on a CUDA machine: make env-cuda" in record["reason"]
    assert record["bytes"] == (tmp_path / "0.onnx").stat().st_size
    assert any("no integer kernels on CUDA" in note for note in record["notes"])


@pytest.mark.usefixtures("absent")
def test_without_a_device_the_record_carries_a_labelled_estimate(tmp_path: Path) -> None:
    record = profiled(tmp_path, graphs.matmul(inner=512, columns=512), x=(512, 512))["0"]
    assert record["kind"] == "not-measured"
    t4 = record["estimates"][0]
    assert (t4["kind"], t4["device"]) == ("estimate", "NVIDIA T4")
    bound = 2 * 512**3 / 8.14e12
    assert t4["low_s"] == pytest.approx(bound / 0.7 + 2e-6)
    assert t4["high_s"] == pytest.approx(bound / 0.1 + 10e-6)
    assert any("fitted on a GPU" in line for line in record["assumptions"])


@pytest.mark.usefixtures("absent")
def test_what_has_no_kernel_is_named(tmp_path: Path) -> None:
    contrib = [
        helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s"], ["h"], domain="com.microsoft"),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Det", ["square"], ["d"]),
        helper.make_node("Snake", ["r", "d"], ["y"], domain="mine"),
    ]
    proto = graphs.model(
        contrib,
        [("x", graphs.FLOAT, ["rows", 8])],
        [("y", graphs.FLOAT, ["rows", 4])],
        {
            "w": np.ones((8, 4), np.int8),
            "s": np.ones(1, np.float32),
            "square": np.ones((2, 2), np.float32),
        },
        contrib=True,
    )
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    record = profiled(tmp_path, proto, x=(3, 8))["0"]
    reasons = {each["op_type"]: each["reason"] for each in record["operators"]["refusals"]}
    assert reasons == {
        "DynamicQuantizeMatMul": "no CUDA kernel",
        "Det": "no CUDA kernel",
        "Snake": "no CUDA kernel for the domain mine",
    }
    (note,) = record["notes"]
    assert "at each border: 3 (Det, DynamicQuantizeMatMul, Snake; " in note


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize(("kind", "taken"), [(np.int8, True), (np.uint8, False)])
def test_integer_products_are_taken_of_int8_alone(
    tmp_path: Path, kind: type[np.generic], taken: bool
) -> None:
    record = profiled(tmp_path, integers(kind), x=(3, 8))["0"]
    reasons = [each["reason"] for each in record["operators"]["refusals"]]
    assert reasons == ([] if taken else ["no CUDA kernel for uint8"])


def taking(*samples_s: float) -> Measurement:
    """A measurement of just these times."""
    return Measurement(target="cuda", median_s=summarise(samples_s).median, samples_s=samples_s)


@pytest.mark.usefixtures("present")
def test_a_measurement_has_the_devices_time_and_that_with_copies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def measured(models: Any, *_: Any, bind: str = "", **__: Any) -> dict[str, Any]:
        asked.append(bind)
        times = {"0": taking(0.2, 0.1, 0.3) if bind else taking(0.5), "1": taking(0.4)}
        if not bind:
            times["1"] = Failure("cuda", "out of memory")
        return {n: times.get(n, Failure("cuda", "no kernel")) for n, _ in models}

    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho Some GPU, 555.1, 1980 MHz, 2619 MHz, 10 MiB, 81559 MiB\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(smi.parent), prepend=os.pathsep)
    monkeypatch.setattr(cuda, "measure", measured)
    model = graphs.matmul()
    found = profiled(tmp_path, model, model, model, x=(512, 64))
    assert asked == ["cuda", ""]
    record = found["0"]
    assert (record["kind"], record["median_s"]) == ("measurement", 0.2)
    assert (record["with_copies_median_s"], record["with_copies_samples_s"]) == (0.5, [0.5])
    assert record["device"]["name"] == "Some GPU"
    assert record["device"]["memory.total"] == "81559 MiB"
    assert record["flops_per_s"] == pytest.approx(2 * 512 * 64 * 32 / 0.2)
    assert found["1"]["median_s"] == 0.4 and found["1"]["with_copies_median_s"] is None
    assert (found["2"]["kind"], found["2"]["reason"]) == ("failed", "no kernel")
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert profiled(tmp_path, model, x=(512, 64))["0"]["device"] == {}


@pytest.mark.usefixtures("present")
def test_a_device_that_cannot_be_used_is_told_and_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> dict[str, Any]:
        raise InputError("libcudart is missing")

    monkeypatch.setattr(cuda, "measure", refused)
    unfit = graphs.model(
        [helper.make_node("Relu", ["z"], ["y"])],
        [("z", graphs.FLOAT, ["n"])],
        [("y", graphs.FLOAT, ["n"])],
        {},
    )
    found = profiled(tmp_path, graphs.matmul(), unfit, x=(512, 64))
    assert found["0"]["kind"] == "not-measured" and found["0"]["estimates"]
    assert found["0"]["reason"] == "no CUDA device can be used here: libcudart is missing"
    assert found["1"]["kind"] == "failed" and "input z" in found["1"]["reason"]
