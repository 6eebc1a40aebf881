"""Damaged runs, devices, files in the way: one line, exit code 2, nothing lost."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from vampnet_models.artifact import beside, check_output
from vampnet_models.errors import InputError
from workbench.listening import write_wav

READERS = {
    "overview": (),
    "report": (),
    "bundle": ("--target", "cpu", "-o", "out"),
}


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no results.json"),
        ('{"schema": 1, "mod', "JSON"),
        ('{"schema": 1, "models": [{}]}', "; "),
        ('{"schema": 1, "models": 3}', "; "),
        ('{"schema": 9, "models": [{}]}', "version"),
    ],
)
def test_a_run_that_is_none_is_one_line(vampbench, tmp_path, monkeypatch, command, content, said):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "a run"
    run.mkdir()
    if content is not None:
        (run / "results.json").write_text(content)
    done = vampbench(command, run, *READERS[command])
    assert (done.code, len(done.lines)) == (2, 1)
    assert said in done.lines[0]
    assert not (tmp_path / "out").exists()
    assert [p.name for p in run.iterdir()] == (["results.json"] if content is not None else [])
    absent = vampbench(command, tmp_path / "absent", *READERS[command])
    assert (absent.code, len(absent.lines)) == (2, 1)
    assert "absent: no such folder" in absent.lines[0]


def test_a_variant_without_its_facts_is_a_damaged_run(vampbench, tmp_path):
    model = dict.fromkeys(("role", "path", "source_bytes", "source_sha256", "weights"), "x")
    model |= {"name": "m", "variants": [{"recipe": "fp16"}]}
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "models": [model]}))
    done = vampbench("overview", tmp_path)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "damaged: it has no accuracy" in done.lines[0]


def test_a_device_is_never_replaced(vampbench, tiny, tmp_path):
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    done = vampbench("fp16", tiny / "coarse.onnx", "-o", pipe)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "pipe.onnx: is no regular file; name a file to write" in done.lines[0]
    assert pipe.is_fifo() and [p.name for p in tmp_path.iterdir()] == ["pipe.onnx"]
    with pytest.raises(InputError, match="is a folder; name a file"):
        check_output(tmp_path)


def test_what_fails_to_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(InputError, match=r"x\.txt: cannot write it: disk"), beside(path) as staged:
        staged.write_text("half")
        raise OSError("disk")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_file_in_a_folders_place_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="a file lies where its folder should be; choose"):
        write_wav(tmp_path / "file" / "x.wav", np.zeros(768, np.float32))
    assert (tmp_path / "file").read_text() == "x"
