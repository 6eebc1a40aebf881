"""Where the commands speak: the answer on stdout, everything else on stderr, JSON for machines."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

import click
from rich.console import Console as Terminal
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from vampbench.cli.tables import hanging, shown, stacked, table_of
from vampnet_models.progress import Progress, Reporter, left_text, silent
from vampnet_models.records.generic import ANSWER, versioned
from vampnet_models.text import one_line, visible

_LINE_EVERY_S = 5.0
"""How often a long step says how far it is: nobody waits 10 s for a sign of life."""

_PIPE_COLUMNS = 120
"""The width of tables that no terminal shows; COLUMNS in the environment says another."""

QUIET = "vampbench.quiet"
"""Where click's context holds that `--quiet` was given."""

_LINE_FEED = "\n"


@dataclass(frozen=True)
class Answer:
    """What a command prints with `--json`, whatever it is and however it ends.

    command: its name; null where no known one was given.
    result: what it found or wrote; null where it failed before it had anything.
    warnings: what was not done, and why, a line each.
    errors: what could not be done, a line each; the exit code is the process's.
    """

    command: str | None
    result: Any
    warnings: tuple[str, ...]
    errors: tuple[str, ...]


class Said:
    """What one call of the command line has told so far; click's context holds it as `obj`."""

    def __init__(self, command: str | None = None) -> None:
        self.command = command
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def answer(self, result: Any) -> None:
        """Print the answer for machines."""
        found = Answer(self.command, result, tuple(self.warnings), tuple(self.errors))
        _dump(versioned(found, ANSWER), sys.stdout)


class Console(Reporter):
    """What a command says: the answer on stdout, progress, notes, warnings and errors on stderr.

    With `as_json`, stdout carries the JSON alone, and the answer for people goes to stderr. Steps
    draw a progress bar on a terminal; elsewhere each finished step is a line, and a long one says
    how far it is. When quiet, stderr carries warnings and errors alone.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool | None = None) -> None:
        super().__init__()
        self.as_json = as_json
        self.quiet = _asked_to_be_quiet() if quiet is None else quiet
        self.out = _terminal(stderr=as_json)
        self.err = _terminal(stderr=True)
        self._bars: Bars | None = None
        self._said = _said_here()

    @property
    def _answers(self) -> bool:
        return not (self.as_json and self.quiet)

    @property
    def _has_width(self) -> bool:
        """Whether somebody looks: what goes to a file keeps its lines whole."""
        return self.out.is_terminal or "COLUMNS" in os.environ

    def say(self, text: str) -> None:
        """A line of the answer."""
        if self._answers:
            for line in hanging(text, self.out.width) if self._has_width else [text]:
                self.out.print(shown(line))

    def note(self, text: str) -> None:
        """A line about the work, for the person in front of the terminal; no part of the answer."""
        if not self.quiet:
            self.err.print(shown(text))

    def warn(self, text: str) -> None:
        """A warning: something that was not done, and why."""
        self._said.warnings.append(one_line(text))
        self.err.print(f"[yellow]warning:[/yellow] {shown(one_line(text))}")

    def error(self, text: str) -> None:
        """An input that cannot be used, while the others go on."""
        self._said.errors.append(one_line(text))
        self.err.print(f"[red]error:[/red] {shown(one_line(text))}")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table of the answer; numbers are given as text with their unit.

        Where the terminal is too narrow for it, its rows are written one below the other.
        """
        if not self._answers:
            return
        cells = [[*row] for row in rows]
        table = table_of(title, columns, cells, self.out.width)
        if table is not None:
            self.out.print(table)
        else:
            self.out.print(f"[bold]{shown(title)}[/bold]")
            for line in stacked(columns, cells, self.out.width):
                self.out.print(shown(line))
        self.out.print()

    def json(self, value: Any) -> None:
        """The command's result for machines (only with `as_json`); nothing may fail after it."""
        if self.as_json:
            self._said.answer(value)

    def finished(self, text: str, took_s: float) -> None:
        """A line for each finished step, where no terminal showed its bar."""
        if not (self.quiet or self.err.is_terminal):
            click.echo(f"{visible(text)}: {took_s:.1f} s", err=True)

    @contextmanager
    def shown(self, text: str) -> Iterator[Progress]:
        """A progress bar on a terminal; elsewhere a long step says how far it is."""
        if self.quiet:
            yield silent
            return
        if not self.err.is_terminal:
            with _told(text) as update:
                yield update
            return
        if self._bars is not None:
            yield self._add(self._bars, text)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        # What is written to a file or a pipe must not end up above the bar.
        both = self.out.is_terminal
        with Bars(*columns, console=self.err, transient=True, redirect_stdout=both) as bars:
            self._bars = bars
            try:
                yield self._add(bars, text)
            finally:
                self._bars = None

    def _add(self, bars: Bars, text: str) -> Progress:
        task = bars.add_task(shown(text), total=1)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=max(total, 1))
            if done >= total:
                bars.update(task, visible=False)

        return update


def _asked_to_be_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


def _said_here() -> Said:
    context = click.get_current_context(silent=True)
    found = None if context is None else context.find_object(Said)
    return Said() if found is None else found


@contextmanager
def _told(text: str) -> Iterator[Progress]:
    """A step that says on stderr how far it is, so that a log shows that work goes on.

    A thread says it, for from one call of the update to the next it may take minutes.
    """
    started_s = time.perf_counter()
    reached = (0, 0, 0.0)
    over = threading.Event()

    def update(done: int, total: int) -> None:
        nonlocal reached
        reached = (done, total, time.perf_counter() - started_s)

    def tell() -> None:
        # A stderr that was closed is no reason to stop the work.
        with suppress(OSError):
            while not over.wait(_LINE_EVERY_S):
                took_s = time.perf_counter() - started_s
                click.echo(f"{visible(text)}: {_far(*reached, took_s)}", err=True)

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield update
    finally:
        over.set()
        teller.join()


def _far(done: int, total: int, reached_s: float, took_s: float) -> str:
    """How far a step is that came to `done` after `reached_s`."""
    so_far = f"{took_s:.0f} s so far"
    if done >= total:
        return so_far
    return f"{done} of {total}, {so_far}{left_text(reached_s, done, total)}"


def _terminal(*, stderr: bool) -> Terminal:
    made = Terminal(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _PIPE_COLUMNS
    return made


def fail(message: str, said: Said, *, as_json: bool) -> None:
    """The last line of a command that failed; with `as_json` for machines too, on stdout."""
    message = one_line(message)
    click.echo(message, err=True)
    if as_json:
        said.errors.append(message.removeprefix("error: "))
        # A stdout that is full or closed is told on stderr already.
        with suppress(OSError):
            said.answer(None)
            sys.stdout.flush()


def _dump(value: Any, stream: TextIO) -> None:
    """Write JSON that any parser reads: no NaN or infinity, and nothing that a terminal obeys."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # JSON itself escapes but the first 32; the others stand in strings alone.
    stream.write(f"{visible(text, keep=_LINE_FEED)}\n")
