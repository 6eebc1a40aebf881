"""Whatever is raised below a command is one line; no control character reaches a terminal."""

import logging
import sys
import warnings

import numpy as np
import pytest
from onnx import helper

from tests.tiny_graphs import product, tensor, write
from vampbench.api import inspect as inspect_command
from vampbench.cli.console import Console
from vampbench.cli.main import _set_up_logs, main
from vampnet_models.errors import TRACEBACK_VARIABLE, InputError, Unforeseen, contained

NASTY = "w\x1b[31m[red]\u202e:bug:\n\x9b2J"


class Foreseen(Exception):
    pass


def test_what_libraries_raise_leaves_as_one_line_with_its_end():
    with pytest.raises(Unforeseen) as caught, contained():
        raise RuntimeError("first\n" + "x" * 400 + "\nthe reason")
    assert str(caught.value).startswith("unforeseen RuntimeError: ... ")
    assert "the reason; VAMPBENCH_TRACEBACK=1" in str(caught.value)
    assert caught.value.exit_code == 1


def test_what_was_foreseen_passes():
    for error in (InputError("mine"), Foreseen("mine"), BrokenPipeError()):
        with pytest.raises(type(error)), contained(Foreseen):
            raise error
    with pytest.raises(InputError, match="there: No space left"), contained():
        raise OSError(28, "No space left on device", "there")
    with pytest.raises(Unforeseen, match="memory ran out"), contained():
        raise MemoryError


def test_no_command_ends_with_a_traceback(tmp_path, vampbench, monkeypatch):
    def broken(_path):
        raise IndexError(f"list index {NASTY}")

    path = product(tmp_path / "m.onnx")
    monkeypatch.setattr(inspect_command, "inspect_model", broken)
    done = vampbench("inspect", path)
    assert (done.code, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("error: unforeseen IndexError: list index ")
    assert "\x1b" not in done.stderr
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    assert "Traceback (most recent call last)" in vampbench("inspect", path).stderr


def test_a_broken_model_of_a_folder_does_not_end_the_others(tmp_path, vampbench, monkeypatch):
    product(tmp_path / "a.onnx")
    product(tmp_path / "b.onnx")
    real = inspect_command.inspect_model

    def broken(path):
        if path.name == "a.onnx":
            raise IndexError("tuple index out of range")
        return real(path)

    monkeypatch.setattr(inspect_command, "inspect_model", broken)
    done = vampbench("inspect", tmp_path)
    assert done.code == 2
    assert "b.onnx" in done.stdout
    assert "unforeseen IndexError: tuple index out of range" in done.stderr


def test_names_from_a_file_are_spelled_out_everywhere(tmp_path, vampbench):
    folder = tmp_path / "nasty [red]\x1b[31m"
    folder.mkdir()
    nodes = [helper.make_node("Relu", ["lost\x1b]0;title\x07"], ["y"], name=NASTY)]
    path = write(folder / "m.onnx", nodes, [tensor(f"x{NASTY}", ["n"])], [tensor("y", ["n"])])
    for more in ((), ("--json",)):
        done = vampbench("inspect", path, *more)
        assert done.code == 1
        for text in (done.stdout, done.stderr):
            assert all(c.isprintable() or c == "\n" for c in text)
    assert "[red]" in vampbench("inspect", path).stdout
    assert ":bug:" in vampbench("inspect", path).stdout


def test_a_voice_lets_no_control_character_through(capsys):
    console = Console()
    console.say(f"said {NASTY}")
    console.warn(NASTY)
    console.error(NASTY)
    console.table(NASTY, (NASTY,), [(NASTY,)])
    with console.task(NASTY) as update:
        update(1, 1)
    said = capsys.readouterr()
    for text in said:
        assert all(c.isprintable() or c == "\n" for c in text)
    assert said.out.splitlines()[0] == ("said w\\u001b[31m[red]\\u202e:bug:\\u000a\\u009b2J")


def test_libraries_are_hushed_and_their_errors_stay_errors(capsys, monkeypatch):
    root = logging.getLogger()
    handlers, shown = root.handlers[:], warnings.showwarning
    try:
        root.handlers = []
        _set_up_logs()
        logging.getLogger("onnxscript").warning("chatter")
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            _set_up_logs()
            np.float32(1) / np.float32(0)
        with warnings.catch_warnings(), pytest.raises(RuntimeWarning):
            warnings.simplefilter("error")
            np.float32(1) / np.float32(0)
        assert capsys.readouterr() == ("", "")
        root.handlers = []
        monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
        _set_up_logs()
        assert root.handlers == []
    finally:
        root.handlers, warnings.showwarning = handlers, shown


@pytest.mark.parametrize("names", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_closed_streams_are_no_error(monkeypatch, tmp_path, names):
    for name in names:
        monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as stop:
        main(["inspect", str(tmp_path / "absent.onnx")])
    for name in names:
        getattr(sys, name).close()
    assert stop.value.code == 2
