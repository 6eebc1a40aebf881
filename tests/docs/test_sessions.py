"""The shown commands are read as they are meant, and have the options that there are."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from docs.pages import README, pages
from docs.sessions import Shown, agrees, examples, in_sentences, run_shown, shown
from vampbench.cli.main import cli

PAGES = {path.relative_to(README.parent).as_posix(): path for path in pages()}
SHOWING = [n for n, p in PAGES.items() if any(shown(p.read_text(encoding="utf-8")))]
FAST = ("vampbench import", "vampbench inspect")


def _commands(name: str) -> list[Shown]:
    return list(shown(PAGES[name].read_text(encoding="utf-8")))


def test_a_page_is_read_as_it_is_meant() -> None:
    text = (
        "```console\n$ a b\none 1.5 s\n...\nlast\n$ c\n```\n\n```sh\nd \\\n  e  # why\n\n# f\n```\n"
    )
    first, second, third = shown(text)
    assert first == Shown("a b", ("one 1.5 s", "...", "last"))
    assert second == Shown("c", None)
    assert third.command.split() == ["d", "e"] and third.output is None
    assert agrees(first.output or (), "one  2.0 s\n\nx\ny\nlast\n", figures=False)
    assert agrees(("ship fp16",), "ship npu-fp16\n", figures=False)
    assert not agrees(("ship fp16",), "ship npu-fp16\n", figures=True)
    assert not agrees(first.output or (), "one 2.0 s\nlast\n", figures=True)
    assert not agrees(first.output or (), "two 1.5 s\nlast\n", figures=False)


@pytest.mark.parametrize("name", SHOWING)
def test_shown_options_are_there(name: str) -> None:
    for each in _commands(name):
        program, *words = shlex.split(each.command)
        if program != "vampbench" or words[0].startswith("-"):
            continue
        command = cli.commands[words[0]]
        options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
        given = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert given <= options | {"--help"}, each.command


OTHERS = {"--include_ops_by_config", "--no_telemetry"}
"""Options of onnxruntime's own builds."""


@pytest.mark.parametrize("name", PAGES)
def test_named_commands_and_options_exist(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    assert set(re.findall(r"`vampbench ([a-z][a-z0-9-]*)", text)) <= set(cli.commands)
    options = {o for each in cli.commands.values() for p in each.params for o in p.opts}
    spans = re.findall(r"`([^`\n]+)`", text)
    named = {o for span in spans for o in re.findall(r"(?:^| )(--[a-z_-]+)", span)}
    assert named <= options | OTHERS | {"--help", "--version"}


def test_examples_of_help_and_commands_in_sentences_are_found() -> None:
    page = "Say `vampbench run x -o y` or `coarse`.\n\n```sh\nvampbench a `b c`\n```\n`make it`\n"
    assert list(in_sentences(page)) == ["vampbench run x -o y", "make it"]
    help_text = "Do.\n\n\b\nExamples:\n  a b\n  c d\n"
    command = click.Command("x", help=help_text)
    assert examples(command) == [Shown("a b", None), Shown("c d", None)]


@pytest.mark.parametrize("name", [n for n, c in cli.commands.items() if not c.hidden])
def test_every_commands_help_has_an_example(name: str) -> None:
    found = examples(cli.commands[name])
    assert any(each.command.startswith(f"vampbench {name}") for each in found)
    for each in found:
        program, *words = shlex.split(each.command)
        if program == "vampbench":
            cli.commands[words[0]].make_context(words[0], words[1:])


def test_what_is_quick_prints_what_readme_shows(tmp_path: Path) -> None:
    for checkpoint in README.parent.glob("vampnet_models/reference/*.pth"):
        shutil.copy(checkpoint, tmp_path)
    quick = [c for c in _commands("README.md") if c.command.startswith(FAST)]
    assert len(quick) >= 2
    for each in quick:
        done = run_shown(each.command, tmp_path)
        assert done.returncode == 0, f"{each.command}\n{done.stderr}"
        assert agrees(each.output or (), done.stdout, figures=True), (
            f"{each.command}\n{done.stdout}"
        )
