"""How far a long step is, where no terminal shows its bar: a line on stderr at times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from vampnet_models.progress import Progress, left_text
from vampnet_models.text import visible

_LINE_EVERY_S = 5.0
"""How often a long step says how far it is: nobody waits 10 s for a sign of life."""


@contextmanager
def told(text: str) -> Iterator[Progress]:
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
