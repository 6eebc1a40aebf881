"""The script of CUDA, run on the CPU provider: what it measures, keeps and refuses."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from bench import ROOT
from bench.cuda.__main__ import opened, run
from bench.cuda.placement import kernels, place_models, problems, summarised
from bench.cuda.setting import BASELINE, RECIPES, Setting, write_record
from bench.cuda.speed import TORCH, time_models
from bench.cuda.steps import STEPS, Step, listed, run_steps
from bench.cuda.table import table
from profiles.place import cpu
from tests.vampbench.conftest import write_tiny
from vampnet_models.errors import InputError

SCRIPT = ROOT / "bench" / "cuda.sh"
CUDA = "CUDAExecutionProvider"
FRAMES = 12


def script(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run cuda.sh with this Python in place of an environment of its own."""
    return subprocess.run(
        [str(SCRIPT), *map(str, words)],
        env=os.environ | {"CUDA_PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def tiny_coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the least coarse model and its encoder."""
    every = write_tiny(tmp_path_factory.mktemp("tiny"))
    folder = tmp_path_factory.mktemp("coarse")
    for name in ("codec_encoder.onnx", "coarse.onnx"):
        shutil.copy(every / name, folder)
    return folder


@pytest.fixture
def setting(tiny_coarse: Path, tmp_path: Path) -> Setting:
    """A trial of the coarse model alone, as it was exported."""
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(tiny_coarse / "coarse.onnx", models)
    rng = np.random.default_rng(0)
    found = Setting("cpu", cpu(1), models, models, tmp_path / "work", 3, FRAMES, 1, 1.0)
    found.feed("coarse").parent.mkdir(parents=True)
    codes, mask = (rng.integers(0, top, (1, 4, FRAMES)) for top in (1024, 2))
    np.savez(found.feed("coarse"), codes=codes, mask=mask)
    return found


@pytest.fixture(scope="module")
def whole(tiny_coarse: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The script from end to end, and its record."""
    work = tmp_path_factory.mktemp("whole")
    words = ["--provider", "cpu", "--models", tiny_coarse, "--heard", tiny_coarse, "--work", work]
    words += ["--rounds", 3, "--frames", FRAMES, "--clips", 1, "--tune-limit", 1]
    done = script(*words)
    return done, json.loads((work / "cuda.json").read_text(encoding="utf-8")), words


@pytest.mark.long
def test_every_step_leaves_its_figures(whole: Any) -> None:
    done, record, _ = whole
    assert done.returncode == 0, done.stderr
    assert record["is_trial"] and record["setting"]["provider"] == "CPUExecutionProvider"
    assert list(record["steps"]) == [step.name for step in STEPS]
    found = {name: step["result"] for name, step in record["steps"].items()}
    for model, recipes in (("coarse", RECIPES), ("codec_encoder", set(RECIPES) - {"bf16"})):
        made = found["variants"]["variants"][model]
        assert {name for name, row in made.items() if "bytes" in row} == set(recipes)
        torch = TORCH if model == "coarse" else ()
        assert set(found["speed"][model]) == {BASELINE, *recipes, *torch}
        assert set(found["placement"]["models"][model]) == {BASELINE, *recipes}
        assert set(found["tokens"][model]) == {BASELINE, *recipes}
    assert "not_applicable" in found["variants"]["variants"]["codec_encoder"]["bf16"]
    own = found["tokens"]["coarse"][BASELINE]["accuracy"]
    assert own["token_agreement"] == 1.0 and own["sampled_agreement"]["value"] == 1.0
    fp16 = found["tokens"]["coarse"]["fp16"]["accuracy"]
    assert 0.9 < fp16["sampled_agreement"]["value"] <= 1.0
    assert found["placement"]["problems"] == []
    assert found["bundle"]["ok"] and found["bundle"]["target"] == "cuda"
    assert found["tune"] == {"stopped": "after 1 s, as asked; the same call goes on"}
    assert "a trial of the script, no result" in done.stdout
    assert "| coarse | 12 frames | fp16 | " in done.stdout


@pytest.mark.long
def test_finished_steps_are_kept(whole: Any) -> None:
    _, record, words = whole
    done = script(*words, "--only", "speed", "placement", "tokens", "bundle")
    assert done.returncode == 0
    kept = [f"{name}: kept" for name in ("speed", "placement", "tokens", "bundle")]
    assert [line for line in done.stdout.splitlines() if line.endswith(": kept")] == kept
    work = Path(words[words.index("--work") + 1])
    again = json.loads((work / "cuda.json").read_text(encoding="utf-8"))
    assert again["steps"]["speed"] == record["steps"]["speed"]


def test_the_plan_is_told_without_a_device() -> None:
    done = script("--list")
    assert done.returncode == 0
    assert done.stdout.splitlines() == listed(STEPS).splitlines()
    assert len(done.stdout.splitlines()) == len(STEPS) + 1


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="CUDA is here")
def test_without_the_provider_one_line_says_so(tmp_path: Path) -> None:
    done = script("--work", tmp_path, "--out", tmp_path / "cuda.json")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: target cuda: this onnxruntime ")
    assert f"has no {CUDA}; use an environment" in line
    assert list(tmp_path.iterdir()) == []


def test_without_a_driver_nothing_is_installed(tmp_path: Path) -> None:
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    done = script(CUDA_PYTHON="", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: nvidia-smi is not here: install NVIDIA's driver")


def test_bash_reads_the_script() -> None:
    done = subprocess.run(["bash", "-n", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(SCRIPT, os.X_OK)


def test_rows_are_timed_in_the_same_rounds_and_a_failed_one_says_why(
    setting: Setting, tiny_coarse: Path
) -> None:
    fused = setting.variant("coarse", "fused")
    fused.parent.mkdir(parents=True)
    shutil.copy(setting.source("coarse"), fused)
    unfit = setting.variant("coarse", "fp16")
    unfit.parent.mkdir(parents=True)
    shutil.copy(tiny_coarse / "codec_encoder.onnx", unfit)
    told: list[str] = []
    rows = time_models(setting, told.append)["coarse"]
    assert set(rows) == {BASELINE, "fused", "fp16", *TORCH}
    assert len(rows[BASELINE]["samples_s"]) == len(rows["fused"]["samples_s"]) == 3
    low, high = rows["fused"]["speedup_interval"]
    assert low <= rows["fused"]["speedup"] <= high and "speedup" not in rows[BASELINE]
    assert rows["fp16"] == {"failed": "the feeds have ['codes', 'mask'], the model takes ['audio']"}
    for name in TORCH:
        assert "samples_s" in rows[name] or rows[name]["failed"].startswith("PyTorch: ")
    assert told == ["coarse: ort-fp32, fused, fp16, torch-fp32, torch-fp16"]


def test_a_model_tells_where_its_nodes_ran(setting: Setting) -> None:
    placed = place_models(setting)
    row = placed["models"]["coarse"][BASELINE]
    assert set(row["nodes"]) == {"CPUExecutionProvider"} and row["nodes"].popitem()[1] > 50
    assert (row["elsewhere"], row["copies"], row["attention_kernels"]) == ({}, 0, {})
    assert placed["problems"] == []  # the raw export has no fused attention to lose
    setting.feed("coarse").unlink()
    assert "failed" in place_models(setting)["models"]["coarse"][BASELINE]


def event(name: str, op: str, provider: str = CUDA) -> dict[str, Any]:
    arguments = {"op_name": op, "provider": provider}
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": arguments}


def test_nodes_that_fell_back_are_named() -> None:
    others = [event(f"shape{n}", "Shape", "CPUExecutionProvider") for n in range(7)]
    events = [
        {"cat": "Session", "name": "model_run"},
        event("a", "MatMul"),
        event("b", "MultiHeadAttention"),
        event("c", "MemcpyToHost"),
        *others,
    ]
    found = summarised(events, CUDA)
    assert found["nodes"] == {CUDA: 3, "CPUExecutionProvider": 7}
    assert found["elsewhere"] == {"Shape": [f"shape{n}" for n in range(7)]}
    assert found["attention"] == {"MultiHeadAttention": {CUDA: 1}}
    assert found["copies"] == 1


def test_attention_that_is_not_fused_on_the_device_is_a_problem() -> None:
    def row(attention: dict[str, Any], **named: int) -> dict[str, Any]:
        return {"attention": attention, "attention_kernels": named}

    fused = {"MultiHeadAttention": {CUDA: 20}}
    rows = {
        "codec_encoder": {"fp16": row({})},
        "coarse": {
            BASELINE: row({}),
            "fp16": row(fused, EFFICIENT_ATTENTION=20),
            "bf16": row(fused, MATH=20),
            "fused": row({"Attention": {"CPUExecutionProvider": 20}}),
            "int8-weights": row({}),
            "int4-weights": {"failed": "out of memory"},
        },
    }
    assert problems(rows, CUDA) == [
        "coarse bf16: the kernel of its attention is not a fused one",
        "coarse fused: attention on CPUExecutionProvider",
        "coarse int8-weights: no fused attention in the runtime's graph",
    ]


def test_kernels_are_read_from_what_the_provider_prints() -> None:
    printed = "Operator=MultiHeadAttention Node=a DataType=fp16 SdpaKernel=EFFICIENT_ATTENTION\n"
    assert kernels(2 * printed + "SdpaKernel=MATH") == {"EFFICIENT_ATTENTION": 2, "MATH": 1}
    assert kernels("") == {}


def asked(result: Callable[[], Any], name: str = "speed") -> Step:
    return Step(name, 1, "a step", lambda *_: result())


def failing() -> Any:
    raise InputError("no device")


def test_a_step_that_fails_leaves_the_rest_to_go_on(setting: Setting, tmp_path: Path) -> None:
    out = tmp_path / "cuda.json"
    record = opened(out, setting)
    row = {"coarse": {"fp16": {"failed": "no kernel"}, "torch-fp16": {"failed": "no torch"}}}
    steps = [asked(failing, "tokens"), asked(lambda: row)]
    said = run_steps(steps, setting, record, out, lambda _: None)
    assert said == ["tokens: no device", "speed: coarse fp16: no kernel"]
    kept = opened(out, setting)
    assert kept["steps"]["tokens"]["failed"] == "no device"
    assert "failed: no kernel" in table(kept)
    told: list[str] = []
    steps = [asked(lambda: {}, "tokens"), asked(failing)]
    assert run_steps(steps, setting, kept, out, told.append) == said[1:]
    assert told == ["tokens: a step", "speed: kept"]


def test_a_search_that_a_limit_stopped_goes_on(setting: Setting, tmp_path: Path) -> None:
    out = tmp_path / "cuda.json"
    record = opened(out, setting)
    stopped = asked(lambda: {"stopped": "after 1 s"}, "tune")
    assert run_steps([stopped], setting, record, out, lambda _: None) == []
    run_steps([asked(lambda: {"met": True}, "tune")], setting, record, out, lambda _: None)
    assert record["steps"]["tune"]["result"] == {"met": True}


def test_a_record_of_other_options_or_of_another_device_is_refused(
    setting: Setting, tmp_path: Path
) -> None:
    out = tmp_path / "cuda.json"
    record = opened(out, setting)
    write_record(out, record)
    assert opened(out, setting) == record
    with pytest.raises(InputError, match="another device, versions or options"):
        opened(out, replace(setting, rounds=4))
    other = copy.deepcopy(record)
    other["device"] = {"name": "Some GPU"}
    write_record(out, other)
    with pytest.raises(InputError, match="another device, versions or options"):
        opened(out, setting)
    out.write_text("[]")
    with pytest.raises(InputError, match="no readable record"):
        opened(out, setting)


def test_a_folder_without_the_models_fails_the_step(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["--provider", "cpu", "--models", str(empty), "--work", str(tmp_path / "work")]
    assert run([*words, "--only", "models"]) == 1
    record = json.loads((tmp_path / "work" / "cuda.json").read_text(encoding="utf-8"))
    assert "holds none of codec_encoder.onnx, coarse.onnx" in record["steps"]["models"]["failed"]
