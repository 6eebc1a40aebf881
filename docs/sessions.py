"""The commands that the documents show, and what they print.

A `console` block shows `$ command` and its output, in which a line `...` stands for any lines. A
command without output below it shows none of it, as all commands of an `sh` block. A command may
also stand in a sentence, or among the examples of a command's help.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from optimize.recipes import ALL_RECIPES

ROOT = Path(__file__).resolve().parents[1]
ELIDED = "..."
_BLOCK = re.compile(r"^```(console|sh)(?: title=\"[^\"]*\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`((?:vampbench|python|make) [^`\n]+)`")
_FIGURE = re.compile(r"~?\d[\d,.:-]*")
"""A figure of another machine, noisy or not."""

_RECIPE = re.compile("|".join(sorted((rf"\b{r.name}\b" for r in ALL_RECIPES), key=len)[::-1]))
"""What is recommended follows from what was measured."""


@dataclass(frozen=True)
class Shown:
    """A command of a page, and the lines shown below it; None where none are."""

    command: str
    output: tuple[str, ...] | None


def shown(page: str) -> Iterator[Shown]:
    """Every command line of a page, in order; a backslash at a line's end continues it."""
    for kind, text in _BLOCK.findall(page):
        lines = text.replace("\\\n", " ").splitlines()
        if kind == "sh":
            commands = (line.partition("  #")[0].strip() for line in lines)
            yield from (Shown(c, None) for c in commands if c and not c.startswith("#"))
            continue
        at = [n for n, line in enumerate(lines) if line.startswith("$ ")]
        for start, stop in zip(at, [*at[1:], len(lines)], strict=True):
            yield Shown(lines[start][2:], tuple(lines[start + 1 : stop]) or None)


def in_sentences(page: str) -> Iterator[str]:
    """What stands in backticks outside of blocks and begins with a program's name."""
    yield from _SPAN.findall(_CODE.sub("", page))


def examples(command: click.Command) -> list[Shown]:
    """The examples at the end of a command's help."""
    _, _, text = inspect.cleandoc(command.help or "").partition("\nExample")
    return [Shown(line.strip(), None) for line in text.splitlines()[1:] if line.strip()]


def run_shown(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shown command in `folder`, with this checkout's own `vampbench` and Python."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "COLUMNS": "100",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def agrees(expected: tuple[str, ...], printed: str, *, figures: bool) -> bool:
    """Whether the output is what a page shows.

    Without `figures`, numbers and the recipes that they recommend may be others.
    Empty lines and runs of spaces do not count: a table's width follows its figures.
    """
    one, two = (_lines(text, figures) for text in (expected, printed.splitlines()))
    pattern = "".join(r"(?:.*\n)*?" if line == ELIDED else re.escape(line) + r"\n" for line in one)
    return re.fullmatch(pattern, "".join(line + "\n" for line in two)) is not None


def _lines(text: tuple[str, ...] | list[str], figures: bool) -> list[str]:
    kept = (" ".join(line.split()) for line in text)
    return [line if figures else _FIGURE.sub("#", _RECIPE.sub("#", line)) for line in kept if line]
