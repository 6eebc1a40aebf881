"""README's commands in a bare environment, and whether their faults would be seen."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from docs.pages import README
from tests.first_minutes.__main__ import first_minutes
from tests.first_minutes.bare import ROOT, needed
from tests.first_minutes.play import EXPLAINED, faults, play, steps, unexplained
from tests.first_minutes.watched import Watched, watch

TEXT = README.read_text(encoding="utf-8")


def test_every_fenced_command_is_typed_in_order() -> None:
    typed = [command for command, _ in steps(TEXT)]
    places = [TEXT.index(command) for command in typed if not command.startswith("python typed")]
    assert places == sorted(places) and len(places) >= 10
    assert typed[0] == "make install"
    code = dict(steps(TEXT))["python typed1.py"]
    assert code is not None and "open_models" in code


@pytest.mark.parametrize("form", EXPLAINED)
def test_a_line_that_passes_is_explained(form) -> None:
    assert form.words in " ".join(TEXT.split())


def test_other_lines_of_stderr_are_seen() -> None:
    expected = (
        "[3/18] coarse: fp16: 0.3 s\n[3/18] c2f: x: 4 of 28, 5 s so far\nreading audio: 0.2 s\n"
    )
    warning = "warning: coarse: lies outside; calibrate on audio like it\n"
    assert (
        unexplained(expected + "coarse (coarse): model 2 of 4, about 3 min left\n" + warning) == []
    )
    others = ["warning: not done", "Traceback (most recent call last):", "error: took 3 s too long"]
    assert unexplained("\n".join(others)) == others


def test_exit_codes_and_silences_are_seen(tmp_path: Path) -> None:
    done = watch("echo a; sleep 0.3; echo b >&2; exit 3", tmp_path, dict(os.environ), 60)
    assert (done.code, done.stdout, done.stderr) == (3, "a\n", "b\n")
    assert 0 < done.longest_wait_s <= done.took_s
    assert faults(done)[0].endswith("exit code 3")
    patient = Watched("a", 0, "", "", took_s=30, cpu_s=1, longest_wait_s=11)
    assert faults(patient) == ["a: said nothing for 11 s"]


def test_a_command_without_an_end_is_killed(tmp_path: Path) -> None:
    assert watch("sleep 60 & sleep 60", tmp_path, dict(os.environ), 0.2).code == -9


def test_what_a_shell_was_told_holds_for_what_follows(tmp_path: Path) -> None:
    tmp_path.joinpath("set").write_text("word=found\n")
    heard: list[Watched] = []
    page = "```sh\n. ./set  # why\necho $word\n```\n```console\n$ false\n$ echo never\n```\n"
    wrong = play(page, tmp_path, dict(os.environ), heard.append)
    assert [each.stdout for each in heard] == ["", "found\n", ""]
    assert wrong == ["false: exit code 1"]


def test_what_the_tool_needs_is_known() -> None:
    names = {each.name.lower() for each in needed("vampnet-workbench")}
    assert {"onnxruntime", "numpy", "rich", "markdown-it-py"} <= names
    assert not names & {"pytest", "mypy", "vampnet-workbench"}


@pytest.mark.long
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout: nothing to clone")
@pytest.mark.skipif(
    not all(map(shutil.which, ("git", "make", "bash"))), reason="git, make or bash is missing"
)
def test_a_new_user_gets_through_readme(tmp_path: Path) -> None:
    assert first_minutes(tmp_path, brief=True) == []
