"""What cannot be is said before the first second of work, and nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest

from vampbench.cli import options
from vampbench.cli.main import cli

REFUSED = [
    ("run {models} --target cpu:999 -o {out}", "cpu:999: "),
    ("profile {models}/coarse.onnx --target cpu:999", "cpu:999: "),
    ("tune {models} --threads 999 -o {out}", "999 threads: "),
    ("make-static {models}/coarse.onnx --frames 100000000 -o {out}.onnx", "would take 6.40 GB"),
    ("vamp absent.wav --models {models} --coarse {models}/c2f.onnx -o {out}.wav", "is a c2f model"),
    ("vamp absent.wav --models {models} --beats {models}/c2f.onnx -o {out}.wav", "is a c2f model"),
    ("fuse {models}/coarse.onnx -o {out}.txt", "ends in .txt; give a name that ends in .onnx"),
    ("fp16 {models}/coarse.onnx --emulate -o {out}.txt", "ends in .txt"),
    ("make-static {models}/coarse.onnx -o {out}.txt", "ends in .txt"),
    ("make-dynamic {models}/coarse.onnx -o {out}.txt", "ends in .txt"),
    ("fuse {models} -o {models}/out", "lies inside the input folder"),
    ("run {models} -o {models}", "is the input folder itself"),
    ("run {models} --audio {audio} -o {audio}/out", "lies inside the input folder"),
    ("tune {models} --evaluation-audio {audio} -o {audio}", "is the input folder itself"),
    ("run {models} --min-agreement nan -o {out}", "no finite number"),
    (
        "verify {models}/coarse.onnx {models}/coarse.onnx --min-sampled 1.5",
        "'--min-sampled': 1.5 is not in the range 0<=x<=1",
    ),
    ("run {models} --rounds 1000000000 -o {out}", "not in the range"),
    ("tune {models} --max-latency nan -o {out}", "no finite number"),
    ("tune {models} --min-si-sdr inf -o {out}", "no finite number"),
    ("tune {models} --max-bytes lots -o {out}", "is no size; give one like 2GB"),
    ("tune {models} --max-bytes 0 -o {out}", "is no size"),
    ("tune {models} --max-bytes 9" + 400 * "9" + "GB -o {out}", "is no size"),
    ("swap {models} {models} --steps 100000000", "not in the range"),
    ("synth --seed -1 -o {out}", "not in the range"),
    ("synth -o {models}/coarse.onnx", "a file lies where its folder should be"),
    ("samples -o {models}/coarse.onnx/x", "a file lies where its folder should be"),
    (
        "make-static {models}/coarse.onnx --batch 9000000 -o {out}.onnx",
        "a batch of 9000000: the inputs",
    ),
    ("fuse {models}/coarse.onnx --output=", "it is empty; name a file or a folder"),
    ("--json inspect {models}", "error: --json stands behind the command: `vampbench COMMAND"),
    ("import {models} -o {models}/out", "lies inside the input folder"),
]


@pytest.mark.parametrize(("command", "said"), REFUSED, ids=[c for c, _ in REFUSED])
def test_it_is_refused_at_once(vampbench, tiny, recordings, tmp_path, command, said):
    models, audio = tmp_path / "models", tmp_path / "audio"
    shutil.copytree(tiny, models)
    shutil.copytree(recordings, audio)
    before = sorted(tmp_path.rglob("*"))
    places = {"models": models, "audio": audio, "out": tmp_path / "out"}
    done = vampbench(*command.format(**places).split())
    assert (done.code, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert said in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert all(Path(p).exists() for p in (models, audio))


def test_no_help_shows_a_range_without_ends(vampbench):
    said = vampbench("tune", "--help").stdout
    assert "--min-si-sdr FLOAT" in said and "None" not in said


def test_the_former_name_of_target_is_taken_and_not_told(vampbench, tiny, tmp_path):
    done = vampbench("run", tiny, "--targets", "tpu", "-o", tmp_path / "out")
    assert done.code == 2 and "target 'tpu': unknown; use cpu" in done.stderr
    for command in ("run", "profile", "tune", "bundle"):
        said = vampbench(command, "--help").stdout
        assert "--target " in said and "--targets" not in said


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("1.0GB", 10**9), ("850 mb", 850 * 10**6), ("1234", 1234), (".5kb", 500)]
)
def test_sizes_as_people_write_them(text, n_bytes):
    assert options.as_bytes(None, None, text) == n_bytes


@pytest.mark.parametrize(
    "command", ["int8 m.onnx --feeds a --feeds b -o {out}", "fuse m.onnx -o a -o {out}"]
)
def test_a_path_given_twice_is_refused(vampbench, tmp_path, command):
    done = vampbench(*command.format(out=tmp_path / "out").split())
    assert done.code == 2 and "given more than once: a and " in done.stderr


def test_every_option_of_one_path_refuses_a_second():
    for name, command in cli.commands.items():
        for option in command.params:
            if isinstance(option, click.Option) and isinstance(option.type, click.Path):
                assert option.multiple or isinstance(option, options.Once), (name, option.name)
