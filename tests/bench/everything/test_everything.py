"""Steps go on where they stopped, and only stale ones are made again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import ROOT
from bench.everything.record import made_of, read_record, reasons
from bench.everything.steps import STEPS, WORK, Step
from bench.everything.work import listed, make
from training.data import sounds
from vampnet_models.errors import InputError


def copying(name: str, source: str, after: tuple[str, ...] = ()) -> Step:
    """A step that copies `source` to NAME.out and leaves a line in the log."""
    log = ("sh", "-c", f"echo {name} >> log")
    return Step(name, (log, ("cp", source, f"{name}.out")), (f"{name}.out",), (source,), 6.0, after)


ONE, TWO = copying("one", "a.txt"), copying("two", "one.out", ("one",))


@pytest.fixture
def steps(tmp_path: Path) -> tuple[Step, ...]:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    return ONE, TWO, copying("three", "b.txt")


def made_in(folder: Path) -> list[str]:
    return (folder / "log").read_text().split()


def test_a_second_call_makes_nothing(steps: tuple[Step, ...], tmp_path: Path) -> None:
    kept = tmp_path / "made.json"
    assert "3 of 3 to make: about 0.3 hours" in listed(steps, {}, tmp_path)
    assert make(steps, None, tmp_path, kept) == []
    assert make(steps, None, tmp_path, kept) == []
    assert made_in(tmp_path) == ["one", "two", "three"]
    assert reasons(steps, read_record(kept), tmp_path) == {}


def test_only_what_depends_on_a_change_is_made_again(
    steps: tuple[Step, ...], tmp_path: Path
) -> None:
    kept = tmp_path / "made.json"
    make(steps, None, tmp_path, kept)
    (tmp_path / "a.txt").write_text("other")
    stale = reasons(steps, read_record(kept), tmp_path)
    assert stale == {"one": "made of other files", "two": "after one"}
    assert make(steps, None, tmp_path, kept) == []
    assert made_in(tmp_path) == ["one", "two", "three", "one", "two"]
    assert (tmp_path / "two.out").read_text() == "other"


def test_what_was_made_alone_leaves_those_after_it_stale(
    steps: tuple[Step, ...], tmp_path: Path
) -> None:
    kept = tmp_path / "made.json"
    make(steps, None, tmp_path, kept)
    (tmp_path / "a.txt").write_text("other")
    make(steps, ["one"], tmp_path, kept)
    assert list(reasons(steps, read_record(kept), tmp_path)) == ["two"]


def test_other_code_is_told_and_made_again_when_asked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "tool.py").write_text("1")
    one = replace(ONE, code=("*.py",))
    kept = tmp_path / "made.json"
    make((one, TWO), None, tmp_path, kept)
    assert "  one    6.0 min  is made\n" in listed((one, TWO), read_record(kept), tmp_path)
    (tmp_path / "tool.py").write_text("2")
    told = listed((one, TWO), read_record(kept), tmp_path)
    assert "  one    6.0 min  made by other code\n" in told
    assert "0 of 2 to make" in told
    assert "2 of 2 to make" in listed((one, TWO), read_record(kept), tmp_path, code=True)
    make((one, TWO), None, tmp_path, kept)
    assert made_in(tmp_path) == ["one", "two"]
    # What comes out as before leaves those after it as they are.
    make((one, TWO), None, tmp_path, kept, code=True)
    assert made_in(tmp_path) == ["one", "two", "one"]


def test_files_that_are_not_committed_are_made_again_where_they_are_needed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / WORK).mkdir(parents=True)
    here = f"{WORK}/one.out"
    one = Step("one", (("sh", "-c", f"echo one >> log; cp a.txt {here}"),), (here,), ("a.txt",), 6)
    two = copying("two", "a.txt", ("one",))
    kept = tmp_path / "made.json"
    make((one, two), None, tmp_path, kept)
    (tmp_path / here).unlink()  # as in another clone
    assert reasons((one, two), read_record(kept), tmp_path) == {}
    (tmp_path / "two.out").unlink()
    assert reasons((one, two), read_record(kept), tmp_path) == {
        "one": "its files are not here",
        "two": "two.out is missing",
    }
    assert make((one, two), None, tmp_path, kept) == []
    assert made_in(tmp_path) == ["one", "two", "one", "two"]


def test_a_file_changed_by_hand_is_made_again(steps: tuple[Step, ...], tmp_path: Path) -> None:
    kept = tmp_path / "made.json"
    make(steps, None, tmp_path, kept)
    (tmp_path / "three.out").write_text("by hand")
    stale = reasons(steps, read_record(kept), tmp_path)
    assert stale == {"three": "three.out is another"}
    make(steps, None, tmp_path, kept)
    assert (tmp_path / "three.out").read_text() == "b"


def test_a_failed_step_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    bad = Step("one", (("sh", "-c", "exit 3"),), ("one.out",), ("a.txt",), 1.0)
    steps = (bad, TWO, copying("three", "b.txt"))
    failed = make(steps, None, tmp_path, tmp_path / "made.json")
    assert failed == [
        "one: exit code 3 of sh -c exit 3",
        "two: left, because one is not made",
    ]
    assert made_in(tmp_path) == ["three"]


def test_a_step_that_writes_nothing_or_lacks_an_input_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    silent = Step("silent", (("true",),), ("silent.out",), ("a.txt",), 1.0)
    failed = make((silent, copying("lost", "no.txt")), None, tmp_path, tmp_path / "made.json")
    assert failed == [
        "silent: did not write silent.out",
        "lost: no.txt is missing, which it is made of",
    ]


def test_a_torn_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "made.json").write_text('{"one"')
    with pytest.raises(InputError, match="delete it to make all again"):
        read_record(tmp_path / "made.json")


def test_an_interrupt_keeps_what_was_made(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    script = (
        # A shell's background jobs are born with SIGINT ignored, the tests among them.
        "import signal, sys; from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from bench.everything.steps import Step; from bench.everything.work import make\n"
        "here = Path(sys.argv[1])\n"
        "one = Step('one', (('cp', 'a.txt', 'one.out'),), ('one.out',), ('a.txt',), 1.0)\n"
        "two = Step('two', (('sh', '-c', 'touch began; exec sleep 60'),), (), ('a.txt',), 1.0)\n"
        "make((one, two), None, here, here / 'made.json')\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "began").exists():
        assert child.poll() is None
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGINT)
    assert b"KeyboardInterrupt" in child.communicate(timeout=30)[1]
    assert list(read_record(tmp_path / "made.json")) == ["one"]


def test_every_step_is_after_earlier_ones_and_no_two_write_one_file() -> None:
    names = [step.name for step in STEPS]
    written = [name for step in STEPS for name in step.writes]
    assert len(set(names)) == len(names) and len(set(written)) == len(written)
    for place, step in enumerate(STEPS):
        assert set(step.after) <= set(names[:place])


def test_what_steps_read_in_the_repository_is_there() -> None:
    for step in STEPS:
        inside = tuple(p for p in step.reads if not p.startswith(("../", ".venv")))
        own = Step(step.name, step.commands, step.writes, inside, step.minutes, code=step.code)
        assert [len(each) for each in made_of(own, {}, ROOT).values()] == [64, 64]


def test_what_judges_was_never_trained_on() -> None:
    names = {Path(path).stem for path in next(s for s in STEPS if s.name == "held-out").writes}
    assert len(names) == 12
    assert not names & set(sounds.TRAIN_RECORDINGS)
    assert names <= {*sounds.HELD_OUT_RECORDINGS, "humpback", *sounds._HELD_OUT_SOUNDS}
