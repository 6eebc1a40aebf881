"""What work says of itself while it goes on: steps, notes and warnings, to whoever listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_MINUTES_FROM_S = 90.0
"""From here on what is left is told in minutes."""

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

StepProgress = Callable[[int, int, str], None]
"""Called with (done, total, what is being done)."""


def silent(_done: int, _total: int) -> None:
    """The progress of a step that says nothing."""


@dataclass(frozen=True)
class _Step:
    """How long a step took."""

    name: str
    took_s: float


class Reporter:
    """Where work tells how far it is and what it could not do; this one keeps silent.

    A face overrides what it shows: `note`, `warn`, `error`, `shown`, `finished`. Work may plan its
    steps, so that each says which one of them it is; `steps` are those that were done.
    """

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self._kept: list[str] = []
        self._reached, self._planned = 0, 0
        self._numbered: int | None = None

    def note(self, text: str) -> None:
        """A line about the work, no part of any result."""

    def warn(self, text: str) -> None:
        """Something that was not done, and why."""

    def error(self, text: str) -> None:
        """An input that cannot be used, while the others go on."""

    @contextmanager
    def shown(self, _text: str) -> Iterator[Progress]:
        """What is shown of a step while it lasts."""
        yield silent

    def finished(self, text: str, took_s: float) -> None:
        """A step came to its end."""

    def keep(self, step: str) -> None:
        """Note a step that was found done; `tell_kept` says so."""
        self._kept.append(step)

    def tell_kept(self) -> None:
        """Say which steps an earlier run had finished since this was asked last, if any."""
        if self._kept:
            self.note(f"  kept from before: {', '.join(self._kept)}")
            self._kept.clear()

    def plan(self, steps: int) -> None:
        """How many steps are to come: each then says which one of them it is."""
        self._reached, self._planned = 0, steps
        self._numbered = None

    def expect(self, steps: int) -> None:
        """How many steps are to come after those reached, now that it is known."""
        self._planned = self._reached + steps

    def reach(self) -> None:
        """The next one of the planned steps begins, or was found done."""
        self._reached += 1

    @contextmanager
    def task(self, text: str) -> Iterator[Progress]:
        """One step, whose duration is noted in `steps`.

        What belongs to one planned step has its number once.
        """
        numbered = f"{self._number()}{text}"
        started_s = time.perf_counter()
        finished = False
        try:
            with self.shown(numbered) as update:
                yield update
            finished = True
        finally:
            took_s = time.perf_counter() - started_s
            self.steps.append(_Step(text, took_s))
            if finished:
                self.finished(numbered, took_s)

    def _number(self) -> str:
        if not self._planned:
            return ""
        number = f"[{self._reached}/{self._planned}] "
        if self._numbered == self._reached:
            return " " * len(number)
        self._numbered = self._reached
        return number


def left_text(took_s: float, done: float, total: float) -> str:
    """What is left of `total`, where `done` of it took so long: ", about 3 min left", or nothing.

    An estimate: it takes the rest for as heavy as what is done.
    """
    if done <= 0:
        return ""
    left_s = took_s * (total - done) / done
    told = f"{left_s:.0f} s" if left_s < _MINUTES_FROM_S else f"{left_s / 60:.0f} min"
    return f", about {told} left"
