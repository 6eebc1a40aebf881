"""What a long step says where no terminal shows its bar."""

import queue
import re
import threading

import pytest

from vampbench.cli import console as face
from vampbench.cli.console import Console
from vampnet_models.progress import left_text


def test_a_long_step_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(face, "_LINE_EVERY_S", 0.001)
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(face.click, "echo", lambda line, err: said.put(line))
    with face._told("calibrating") as update:
        first = said.get(timeout=60)
        update(4, 10)
        later = next(line for line in iter(said.get, None) if "of" in line)
    assert first == "calibrating: 0 s so far"
    assert re.fullmatch(r"calibrating: 4 of 10, \d+ s so far, about \d+ s left", later)
    assert capsys.readouterr().out == ""


def test_a_closed_stderr_does_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "_LINE_EVERY_S", 0.001)
    asked = threading.Event()

    def closed(line: str, err: bool) -> None:
        asked.set()
        raise BrokenPipeError(line)

    monkeypatch.setattr(face.click, "echo", closed)
    with face._told("calibrating") as update:
        assert asked.wait(60)
        update(1, 1)


def test_a_short_step_says_only_what_it_took(capsys) -> None:
    with Console().task("reading") as update:
        update(1, 2)
        update(2, 2)
    assert capsys.readouterr().err == "reading: 0.0 s\n"


def test_the_answer_is_stdout_and_everything_else_stderr(capsys) -> None:
    console = Console()
    console.say("answer")
    console.table("Table", ("name", "size"), [("a", "1 MB")])
    console.note("about the work")
    console.warn("not done")
    console.error("cannot be used")
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines() if "─" not in line] == [
        ["answer"], ["Table"], ["name", "size"], ["a", "1", "MB"], []
    ]  # fmt: skip
    assert said.err.splitlines() == [
        "about the work",
        "warning: not done",
        "error: cannot be used",
    ]


def test_a_quiet_voice_keeps_the_answer_the_warnings_and_the_errors(capsys) -> None:
    console = Console(quiet=True)
    with console.task("reading") as update:
        update(1, 2)
    console.keep("feeds")
    console.tell_kept()
    console.note("about the work")
    console.say("answer")
    console.warn("not done")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("answer\n", "warning: not done\n")


def test_planned_steps_say_which_they_are(capsys) -> None:
    console = Console()
    console.plan(3)
    console.reach()
    console.reach()
    with console.task("c2f: int8-static"):
        pass
    assert capsys.readouterr().err == "[2/3] c2f: int8-static: 0.0 s\n"
    assert [step.name for step in console.steps] == ["c2f: int8-static"]


def test_what_belongs_to_one_step_has_its_number_once(capsys) -> None:
    console = Console()
    console.plan(2)
    for names in (("calibration feeds", "evaluation feeds"), ("fused",)):
        console.reach()
        for name in names:
            with console.task(name):
                pass
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "[1/2] calibration feeds: 0.0 s",
        "      evaluation feeds: 0.0 s",
        "[2/2] fused: 0.0 s",
    ]


def test_steps_turn_out_to_be_fewer_than_were_planned(capsys) -> None:
    console = Console()
    console.plan(9)
    console.reach()
    with console.task("trials"):
        pass
    console.expect(2)
    console.reach()
    with console.task("timing"):
        pass
    assert capsys.readouterr().err == "[1/9] trials: 0.0 s\n[2/3] timing: 0.0 s\n"


@pytest.mark.parametrize(
    ("took_s", "done", "said"),
    [(0.0, 0, ""), (20.0, 1, ", about 60 s left"), (60.0, 1, ", about 3 min left")],
)
def test_what_is_left_is_an_estimate_of_what_is_done(took_s, done, said) -> None:
    assert left_text(took_s, done, 4) == said


@pytest.mark.parametrize(("variable", "coloured"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_colours_are_as_the_environment_says(monkeypatch, capsys, variable, coloured) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv(variable, "1")
    Console().warn("not done")
    assert ("\x1b[33m" in capsys.readouterr().err) is coloured
