"""Every command that README and the pages show runs, and prints what they show."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from docs.pages import README, pages
from docs.sessions import Shown, agrees, programs, run_shown, shown
from vampbench.cli.main import cli
from vampnet_models.chain.builtin import _CHECKPOINTS

PAGES = {path.relative_to(README.parent).as_posix(): path for path in pages()}
SHOWING = [n for n, p in PAGES.items() if any(shown(p.read_text(encoding="utf-8")))]
NOT_HERE = ("make", ".", "git", "cd")
"""Of README's first lines: they set up what these tests run in."""

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
    assert programs(text) == {"a", "c", "d"}
    assert agrees(first.output or (), "one  2.0 s\n\nx\ny\nlast\n", figures=False)
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


def _furnish(folder: Path) -> None:
    for name in _CHECKPOINTS:
        shutil.copy(README.parent / "vampnet_models" / "reference" / name, folder / name)


def _brief(command: str) -> str:
    """The command with the fewest timed runs: what it prints and writes is the same."""
    program, *words = shlex.split(command)
    if program != "vampbench" or "--rounds" in words:
        return command
    options = {o for p in cli.commands[words[0]].params for o in p.opts}
    return f"{command} --rounds 3" if "--rounds" in options else command


def _judge(each: Shown, folder: Path, *, figures: bool) -> None:
    done = run_shown(_brief(each.command), folder)
    assert done.returncode == 0, f"{each.command}\n{done.stderr}"
    if each.output is not None:
        assert agrees(each.output, done.stdout, figures=figures), f"{each.command}\n{done.stdout}"


def test_what_is_quick_prints_what_readme_shows(tmp_path: Path) -> None:
    _furnish(tmp_path)
    quick = [c for c in _commands("README.md") if c.command.startswith(FAST)]
    assert len(quick) >= 2
    for each in quick:
        _judge(each, tmp_path, figures=True)


class Desk:
    """A folder in which shown commands are run, each once: a bundle is not written twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._done: set[str] = set()

    def follow(self, name: str) -> None:
        """Run what a page shows, in order."""
        for each in _commands(name):
            if each.command.split()[0] not in NOT_HERE and each.command not in self._done:
                _judge(each, self.folder, figures=False)
                self._done.add(each.command)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A folder with checkpoints and recordings, in which README was followed."""
    folder = tmp_path_factory.mktemp("shown")
    _furnish(folder)
    done = run_shown("vampbench samples -o recordings && cp recordings/01-*.wav song.wav", folder)
    assert done.returncode == 0, done.stderr
    found = Desk(folder)
    found.follow("README.md")
    return found


@pytest.mark.shown
def test_readmes_code_runs(desk: Desk) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    path = desk.folder / "load.py"
    path.write_text(code + "assert sound.size >= 88_200\n", encoding="utf-8")
    done = run_shown("python load.py", desk.folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.shown
@pytest.mark.parametrize("name", [name for name in SHOWING if name != "README.md"])
def test_what_a_page_shows_runs(name: str, desk: Desk) -> None:
    desk.follow(name)
    assert desk.folder.joinpath("out", "mine", "results.json").is_file()
