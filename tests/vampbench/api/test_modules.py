"""The commands that are no names at the top, from Python: paths as text, values out, no console."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import vampbench as vb
from tests.tiny_graphs import product, tensor, write
from tests.vampbench.cli.judge.test_qnn_said import MADE
from vampbench.api.devices import qnn as compiling
from vampbench.api.devices.imported import import_profile
from vampbench.api.devices.lengths import make_dynamic, make_static
from vampbench.api.inspect import inspect
from vampbench.api.listen.compare import compare
from vampbench.api.listen.swap import swap
from vampbench.api.listen.vamp import Prompt, vamp
from vampbench.api.new_models import import_checkpoints, synth
from vampnet_models.chain.tokens import SamplingOptions
from vampnet_models.records.evidence import NotRun


def test_a_model_is_looked_at_and_its_faults_are_values(tmp_path: Path) -> None:
    found = inspect(str(product(tmp_path / "m.onnx")), runtime=True)
    assert found.faults == () and found.record is None
    assert found.inspection.n_parameters == 64 * 64
    assert found.runtime is not None and found.as_json()["runtime"]["provider"]
    bad = write(
        tmp_path / "nan.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", ["n", 64])],
        [tensor("y", ["n", 64])],
        {"w": np.full((64, 64), np.nan, np.float32)},
    )
    (fault,) = inspect(bad).faults
    assert "NaN" in fault


def test_times_of_another_tool_are_records_and_gather_in_a_file(tmp_path: Path) -> None:
    path, out = tmp_path / "m.csv", tmp_path / "all.json"
    path.write_text("".join(f"m,0.01,1000000,90,{i}\n" for i in range(3)), encoding="utf-8")
    for _ in range(2):
        (record,) = import_profile([str(path)], device="a phone", output=str(out))
    assert (record.device, record.model, record.median_s) == ("a phone", "m", 0.01)
    assert [each["model"] for each in json.loads(out.read_text())["records"]] == ["m"]


def test_what_the_npus_compiler_takes_and_what_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(variant: Path, _reference: Path, states: list[Any], **_more: Any) -> Any:
        if variant.name == "bad.onnx":
            raise vb.InputError(f"{variant}: does not compile")
        return replace(MADE, nodes=len(states))

    monkeypatch.setattr(compiling, "compile_variant", compiled)
    monkeypatch.setattr(compiling, "unavailable", lambda: None)
    monkeypatch.setattr(compiling, "version", lambda _package: "1")
    model, bad = product(tmp_path / "m.onnx"), product(tmp_path / "bad.onnx", seed=1)
    feeds = [{"x": np.full((8, 64), i, np.float32)} for i in range(4)]
    found = compiling.qnn(model, [model, bad], feeds, frames=8, states=2)
    assert list(found.compiled) == [model] and list(found.failed) == [bad]
    told = found.file.variants
    assert told[str(bad)] == NotRun(f"{bad}: does not compile")
    assert told[str(model)] == replace(MADE, nodes=2)


MISTAKES: list[tuple[Callable[[Path, Path], object], str]] = [
    (lambda m, out: make_static(m, out, frames=0), "frames: 0 is not in the range 1<=x"),
    (lambda m, out: make_static(m, out), "its axes have no known meaning"),
    (lambda m, out: make_dynamic(m, out), "only transformers can be freed"),
    (lambda _, out: synth(out, preset="vast"), "vast"),
    (lambda _, out: synth(out, seed=-1), "seed: -1 is not in the range"),
    (lambda _, out: import_checkpoints([out / "absent.pth"], out), "absent.pth"),
    (lambda m, out: compare(m, out, out, duration_s=0), "duration_s: 0 is not in the range 0<x"),
    (lambda m, out: swap(m, m, clips=0), "clips: 0 is not in the range 1<=x<=10000"),
    (lambda m, out: swap(m, m), "no codec-encoder model is there"),
    (lambda m, out: vamp(m, out / "v.mp3"), "give a name that ends in .wav"),
    (lambda m, out: vamp(m, out / "v.wav", sampling=SamplingOptions(steps=0)), "steps: 0"),
    (lambda *_: Prompt(width=0), "width: 0 is not in the range 1<=x"),
    (lambda *_: Prompt(prefix_s=float("nan")), "prefix_s: nan is no finite number"),
    (lambda m, _: compiling.qnn(m, soc="9"), "soc '9': unknown; choose from 8-gen-3, 8-elite"),
    (lambda m, _: compiling.qnn(m, frames=1), "frames: 1 is not in the range 8<=x"),
]


@pytest.mark.parametrize(("call", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, call: Callable[[Path, Path], object], said: str
) -> None:
    model = product(tmp_path / "m.onnx")
    with pytest.raises(vb.InputError) as caught:
        call(model, tmp_path / "out")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert "--" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
