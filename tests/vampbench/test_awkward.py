"""Damaged runs, devices, files in the way: one line, exit code 2, nothing lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from calibration.audio.samples import write_samples
from vampbench.work.listening import write_wav
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import beside, check_output

READERS = {
    "overview": (),
    "report": (),
    "bundle": ("--target", "cpu", "-o", "out"),
}


def test_an_unfinished_run_is_called_so(vampbench, tmp_path):
    (tmp_path / "out" / "work").mkdir(parents=True)
    done = vampbench("overview", tmp_path / "out")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "its run is not finished; start the same again" in done.lines[0]


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no results.json"),
        ('{"schema": 1, "mod', "no readable results.json"),
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
    model = dict.fromkeys(("role", "path", "source_sha256", "weights"), "x")
    model |= {"name": "m", "variants": [{"recipe": "fp16"}]}
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "models": [model]}))
    done = vampbench("overview", tmp_path)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "models[0].variants[0].status: is missing" in done.lines[0]


def test_a_device_is_never_replaced(vampbench, tiny, tmp_path):
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    done = vampbench("fp16", tiny / "coarse.onnx", "-o", pipe)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "pipe.onnx: is no regular file; name a file to write" in done.lines[0]
    assert pipe.is_fifo() and [p.name for p in tmp_path.iterdir()] == ["pipe.onnx"]
    with pytest.raises(InputError, match="is a folder; name a file"):
        check_output(tmp_path)


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("profile", "-o"),
        ("verify", "--write-golden"),
        ("fp16", "--save-ranges"),
        ("qnn", "-o"),
    ],
)
def test_an_output_is_looked_at_before_the_work(vampbench, tiny, tmp_path, command, output):
    source = shutil.copy(tiny / "codec_encoder.onnx", tmp_path)
    before = Path(source).read_bytes()
    more = (source,) if command == "verify" else ()
    more = ("-o", tmp_path / "out.onnx") if command == "fp16" else more
    (tmp_path / "file").write_text("x")
    for out, said in (
        (source, "is the input itself"),
        (tmp_path, "is a folder"),
        (tmp_path / "file" / "x", "a file lies where its folder should be"),
    ):
        done = vampbench(command, source, *more, output, out)
        assert (done.code, len(done.stderr.splitlines())) == (2, 1), "no step has run"
        assert f"error: {out}: " in done.stderr and said in done.stderr
    assert Path(source).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codec_encoder.onnx", "file"]


def test_a_recording_is_never_the_output(vampbench, tiny, recordings):
    recording = recordings / "one.wav"
    before = recording.read_bytes()
    done = vampbench("vamp", recording, "--models", tiny, "-o", recording)
    assert (done.code, len(done.stderr.splitlines())) == (2, 1)
    assert "is the input itself" in done.stderr
    assert recording.read_bytes() == before


def test_results_are_not_overwritten_by_their_report(vampbench, tmp_path):
    results = tmp_path / "results.json"
    results.write_text('{"schema": 1, "models": []}')
    done = vampbench("report", tmp_path, "-o", results)
    assert (done.code, len(done.lines)) == (2, 1)
    assert results.read_text() == '{"schema": 1, "models": []}'


@pytest.mark.parametrize("command", ["fuse", "fp16", "make-static"])
def test_a_file_is_no_folder_to_write_to(vampbench, tiny, tmp_path, command):
    blocker = tmp_path / "file"
    blocker.write_text("x")
    done = vampbench(command, tiny / "coarse.onnx", "-o", blocker)
    assert (done.code, len(done.lines)) == (2, 1)
    assert done.lines[0].startswith(f"error: {blocker}")
    assert "folder" in done.lines[0] and blocker.read_text() == "x"


def test_a_bundles_place_is_looked_at_first(vampbench, tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path, tmp_path / "file", tmp_path / "file" / "b"):
        done = vampbench("bundle", "--target", "cpu", "-o", out)
        assert (done.code, len(done.stderr.splitlines())) == (2, 1), "no model was built"
        assert f"error: {out}" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(InputError, match="closed may not be written to; choose"):
        check_output(closed / "deep" / "x.onnx")


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
        write_wav(tmp_path / "file" / "x.wav", np.zeros(768, np.float32), 44_100)
    assert (tmp_path / "file").read_text() == "x"


def test_a_full_disk_is_called_so(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        for write in (
            lambda: write_wav(tmp_path / "x.wav", np.zeros(44_100, np.float32), 44_100),
            lambda: write_samples(tmp_path),
        ):
            with pytest.raises(InputError, match="cannot write it: File too large"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
