"""Where the commands speak: tables and progress on a terminal, JSON on stdout for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from vampnet_models.text import one_line, visible

PIPE_COLUMNS = 140
"""The width of tables that no terminal shows: wide enough that names stay whole."""

LINE_FEED = "\n"

LINE_EVERY_S = 15.0
"""How often a long step says how far it is where no terminal shows its bar."""

Update = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True)
class Step:
    """How long a step took."""

    name: str
    took_s: float


class Voice:
    """What a command says. With `as_json`, stdout carries the JSON alone.

    Steps draw a progress bar on a terminal; elsewhere each finished step is a line on stderr, and a
    long one says how far it is.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Console(stderr=as_json, highlight=False, soft_wrap=True, emoji=False)
        if not self.out.is_terminal:
            self.out.width = PIPE_COLUMNS
        self.steps: list[Step] = []
        self._bars: Progress | None = None
        self._kept: list[str] = []

    def keep(self, step: str) -> None:
        """Note a step that was found done; `tell_kept` says so."""
        self._kept.append(step)

    def tell_kept(self) -> None:
        """Say which steps an earlier run had finished since this was asked last, if any."""
        if self._kept:
            self.say(f"  kept from before: {', '.join(self._kept)}")
            self._kept.clear()

    def say(self, text: str) -> None:
        """A line for the person in front of the terminal."""
        self.out.print(_shown(text))

    def warn(self, text: str) -> None:
        """A warning: something that was not done, and why."""
        self.out.print(f"[yellow]warning:[/yellow] {_shown(one_line(text))}")

    def error(self, text: str) -> None:
        """An input that cannot be used, while the others go on; on stderr."""
        click.echo(f"{click.style('error:', fg='red')} {one_line(text)}", err=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table; numbers are given as text with their unit."""
        table = Table(
            title=_shown(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD
        )
        for index, column in enumerate(columns):
            table.add_column(
                _shown(column), justify="left" if index == 0 else "right", overflow="fold"
            )
        for row in rows:
            table.add_row(*(_shown(cell) for cell in row))
        self.out.print(table)

    def json(self, value: Any) -> None:
        """The command's result for machines (only with `as_json`); nothing may fail after it."""
        if self.as_json:
            dump(value, sys.stdout)

    @contextmanager
    def task(self, text: str) -> Iterator[Update]:
        """A progress bar for one step, whose duration is noted in `steps`."""
        started_s = time.perf_counter()
        finished = False
        try:
            with self._bar(text) as update:
                yield update
            finished = True
        finally:
            step = Step(text, time.perf_counter() - started_s)
            self.steps.append(step)
            if finished and not self.out.is_terminal:
                click.echo(f"{visible(step.name)}: {step.took_s:.1f} s", err=True)

    @contextmanager
    def _bar(self, text: str) -> Iterator[Update]:
        if not self.out.is_terminal:
            yield _lines(text)
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
        with Progress(*columns, console=self.out, transient=True) as bars:
            self._bars = bars
            try:
                yield self._add(bars, text)
            finally:
                self._bars = None

    def _add(self, bars: Progress, text: str) -> Update:
        task = bars.add_task(_shown(text), total=1)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=max(total, 1))
            if done >= total:
                bars.update(task, visible=False)

        return update


def _lines(text: str) -> Update:
    """Where no terminal is: a line on stderr at times, so that a log shows that work goes on."""
    told_s = time.perf_counter()

    def update(done: int, total: int) -> None:
        nonlocal told_s
        now_s = time.perf_counter()
        if now_s - told_s >= LINE_EVERY_S and done < total:
            told_s = now_s
            click.echo(f"{visible(text)}: {done} of {total}", err=True)

    return update


def _shown(text: str) -> str:
    """Text for rich: what files hold is never its markup, nor what a terminal obeys."""
    return escape(visible(text))


def fail(message: str, exit_code: int, *, as_json: bool) -> None:
    """The last line of a command that failed; with `as_json` for machines too, on stdout."""
    message = one_line(message)
    click.echo(message, err=True)
    if as_json:
        error = {"message": message.removeprefix("error: "), "exit_code": exit_code}
        # A stdout that is full or closed is told on stderr already.
        with suppress(OSError):
            dump({"error": error}, sys.stdout)
            sys.stdout.flush()


def dump(value: Any, stream: TextIO) -> None:
    """Write JSON that any parser reads: no NaN or infinity, and nothing that a terminal obeys."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # JSON itself escapes but the first 32; the others stand in strings alone.
    stream.write(f"{visible(text, keep=LINE_FEED)}\n")


def megabytes(n_bytes: float) -> str:
    """A size for people: decimal MB (or GB), as stores and file managers count."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.2f} GB"
    return f"{n_bytes / 1e6:.2f} MB"


def percent(share: float | None) -> str:
    """A share with two decimals; never rounded up to 100 %."""
    if share is None:
        return "-"
    if 0.9999 < share < 1:
        return f"{share * 100:.4f} %"
    return f"{share * 100:.2f} %"
