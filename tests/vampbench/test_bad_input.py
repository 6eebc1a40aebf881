"""What cannot be used is told in one line, with exit code 2 and nothing half-written."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.vampbench.conftest import tone

CONVERSIONS = (("fuse",), ("fp16",), ("int8", "--mode", "dynamic"), ("weights",))


@pytest.fixture
def damaged(tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "text.onnx").write_text("not a model")
    (folder / "empty.onnx").touch()
    whole = (tiny / "coarse.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.mark.parametrize("command", CONVERSIONS, ids=lambda c: c[0])
@pytest.mark.parametrize("name", ["text.onnx", "empty.onnx", "cut.onnx", "absent.onnx"])
def test_an_unreadable_model_is_one_line(vampbench, damaged, tmp_path, command, name):
    done = vampbench(*command, damaged / name, "-o", tmp_path / "out.onnx")
    assert done.code == 2
    assert len(done.lines) == 1
    assert done.lines[0].startswith(f"error: {damaged / name}: ")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("command", ["inspect", "run", "fp16"])
def test_an_empty_folder_is_one_line(vampbench, tmp_path, command):
    empty = tmp_path / "empty"
    empty.mkdir()
    output = () if command == "inspect" else ("-o", tmp_path / "out")
    done = vampbench(command, empty, *output)
    assert done.code == 2
    assert done.lines == [
        f"error: {empty}: holds no .onnx file; give a folder that holds .onnx models"
    ]
    assert not (tmp_path / "out").exists()


def test_a_folder_like_a_bundles_leads_to_its_models(vampbench, tiny, tmp_path):
    inside = tmp_path / "bundle" / "models"
    inside.mkdir(parents=True)
    (inside / "coarse.onnx").write_bytes((tiny / "coarse.onnx").read_bytes())
    done = vampbench("inspect", inside.parent)
    assert done.code == 2
    assert done.lines == [f"error: {inside.parent}: holds no .onnx file; give {inside}"]


@pytest.mark.parametrize("command", CONVERSIONS, ids=lambda c: c[0])
def test_a_folder_does_not_go_into_a_file(vampbench, tiny, tmp_path, command):
    done = vampbench(*command, tiny, "-o", tmp_path / "out.onnx")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "is a folder: give a folder as output too" in done.lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_model(vampbench, tiny, tmp_path):
    for command in (("make-static",), ("make-dynamic",)):
        done = vampbench(*command, tiny, "-o", tmp_path / "out")
        assert (done.code, done.lines) == (
            2,
            [f"error: {tiny}: is a folder; give the path of an .onnx model in it"],
        )


def test_missing_external_data_is_named(vampbench, tmp_path, tiny):
    from vampnet_models.onnxfile.artifact import load_model, save_model

    save_model(load_model(tiny / "coarse.onnx"), tmp_path / "coarse.onnx", external=True)
    (tmp_path / "coarse.onnx.data").unlink()
    done = vampbench("inspect", tmp_path / "coarse.onnx")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "coarse.onnx.data is missing; copy it beside the model" in done.lines[0]


def test_the_rest_of_a_folder_is_done(vampbench, damaged, tiny, tmp_path):
    shutil.copy(tiny / "coarse.onnx", damaged)
    done = vampbench("fp16", damaged, "-o", tmp_path / "out", "--json")
    assert done.code == 2
    assert [Path(v["path"]).name for v in done.result["variants"]] == ["coarse.onnx"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "coarse.onnx",
        "coarse.variant.json",
    ]
    assert sum(line.startswith("error: ") for line in done.lines) == 3
    assert len(done.answer["errors"]) == 3


def test_names_with_spaces_accents_and_brackets(vampbench, tiny, tmp_path):
    folder = tmp_path / "dé mo [red]"
    folder.mkdir()
    source = Path(shutil.copy(tiny / "coarse.onnx", folder / "grö ße.onnx"))
    before = source.read_bytes()
    done = vampbench("fp16", source, "-o", folder / "ö ut" / "kléin.onnx")
    assert done.code == 0
    assert f"{folder / 'ö ut' / 'kléin.onnx'}" in done.stdout
    assert (folder / "ö ut" / "kléin.variant.json").is_file()
    assert source.read_bytes() == before


@pytest.mark.parametrize("command", CONVERSIONS, ids=lambda c: c[0])
def test_an_output_that_cannot_be_written(vampbench, tiny, tmp_path, command):
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    done = vampbench(*command, tiny / "coarse.onnx", "-o", blocker / "out.onnx")
    assert (done.code, len(done.lines)) == (2, 1)
    assert done.lines[0].startswith(f"error: {blocker}")
    assert blocker.read_text() == "in the way"


def test_the_input_is_never_the_output(vampbench, tiny):
    before = (tiny / "coarse.onnx").read_bytes()
    done = vampbench("fp16", tiny / "coarse.onnx", "-o", tiny / "coarse.onnx")
    assert done.code == 2
    assert "is the input itself" in done.lines[0]
    assert (tiny / "coarse.onnx").read_bytes() == before


def test_a_full_disk_leaves_nothing_half_written(vampbench, tiny, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        done = vampbench("fp16", tiny / "coarse.onnx", "-o", tmp_path / "out.onnx")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "File too large" in done.lines[0]
    assert list(tmp_path.iterdir()) == []


def test_unusable_recordings_are_refused_by_name(vampbench, tiny, tmp_path):
    sounds = {
        "three.wav": np.array([0.1, 0.2, 0.3]),
        "silent.wav": np.zeros(44_100),
        "nan.wav": np.full(44_100, np.nan),
    }
    for name, samples in sounds.items():
        soundfile.write(tmp_path / name, samples, 44_100, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no sound")
    reasons = {
        "three.wav": "less than one token frame",
        "silent.wav": "silent",
        "nan.wav": "NaN",
        "text.wav": "cannot be read as sound",
        "absent.wav": "no such file",
    }
    for name, reason in reasons.items():
        done = vampbench("vamp", tmp_path / name, "--models", tiny, "-o", tmp_path / "out.wav")
        assert (done.code, len(done.lines)) == (2, 1), name
        assert done.lines[0].startswith(f"error: {tmp_path / name}: ")
        assert reason in done.lines[0]
    assert not (tmp_path / "out.wav").exists()
    out = tmp_path.with_name(f"{tmp_path.name}-out")
    done = vampbench("run", tiny, "--audio", tmp_path, "-o", out)
    assert (done.code, out.exists()) == (2, False)
    assert "holds no usable sound file" in done.lines[-1]


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 8)])
def test_any_rate_and_channel_count_is_read(vampbench, tiny, tmp_path, rate_hz, channels):
    source = tone(tmp_path / "in.wav", 0.5, rate_hz, channels)
    before = source.read_bytes()
    done = vampbench("vamp", source, "--models", tiny, "--steps", 1, "-o", tmp_path / "out.wav")
    assert done.code == 0
    samples, rate_out_hz = soundfile.read(tmp_path / "out.wav")
    assert (rate_out_hz, len(samples)) == (44_100, 22_050)
    assert source.read_bytes() == before


def test_models_that_are_not_the_same_are_not_compared(vampbench, tiny):
    done = vampbench("verify", tiny / "coarse.onnx", tiny / "c2f.onnx")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "not a variant of coarse.onnx" in done.lines[0]
    assert "codes [batch, 4, frames] and [batch, 14, frames]" in done.lines[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "tpu"), "tpu"),
        (("--recipes", "int3"), "int3: no such recipe"),
        (("--feeds", "absent.npz"), "absent.npz"),
    ],
)
def test_unknown_choices_are_named(vampbench, tiny, tmp_path, options, said):
    done = vampbench("run", tiny, *options, "-o", tmp_path / "out")
    assert (done.code, len(done.lines)) == (2, 1)
    assert said in done.lines[0]


def test_results_that_are_none(vampbench, tmp_path):
    (tmp_path / "results.json").write_text("{]")
    done = vampbench("report", tmp_path)
    assert (done.code, len(done.lines)) == (2, 1)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("int8",), "error: Missing argument 'MODEL'; see `vampbench int8 --help`"),
        (("nosuch",), "error: No such command 'nosuch'; see `vampbench --help`"),
        (
            ("tune", "--min-agreement", "2", "-o", "x"),
            "error: Invalid value for '--min-agreement': 2.0 is not in the range 0<=x<=1; "
            "see `vampbench tune --help`",
        ),
        (
            ("verify", "a", "b", "--max-cost", "-0.01"),
            "error: Invalid value for '--max-cost': -0.01 is not in the range x>=0; "
            "see `vampbench verify --help`",
        ),
        (
            ("run", "models", "--max-cost-db", "nan", "-o", "x"),
            "error: Invalid value for '--max-cost-db': nan is no finite number; "
            "see `vampbench run --help`",
        ),
    ],
)
def test_an_option_error_is_one_line(vampbench, arguments, said):
    done = vampbench(*arguments)
    assert (done.code, done.stderr.splitlines()) == (2, [said])
