"""Progress by callback and warnings as values, for whoever calls a step from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vampnet_models.progress import Progress, Reporter

Listener = Callable[[str, int, int], None] | Reporter | None
"""Who hears how far a step is: called with (what is being done, done, total)."""


class Heard(Reporter):
    """Collects `warnings` and `errors` while it hands everything on to a listener.

    A listener that is a Reporter, as the command line's console is, hears notes and warnings too.
    """

    def __init__(self, listener: Listener = None) -> None:
        super().__init__()
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self._to = listener if isinstance(listener, Reporter) else Reporter()
        self._call = None if isinstance(listener, Reporter) else listener

    def note(self, text: str) -> None:
        """A line about the work, no part of any result."""
        self._to.note(text)

    def warn(self, text: str) -> None:
        """Something that was not done, and why."""
        self.warnings.append(text)
        self._to.warn(text)

    def error(self, text: str) -> None:
        """An input that cannot be used, while the others go on."""
        self.errors.append(text)
        self._to.error(text)

    @contextmanager
    def shown(self, text: str) -> Iterator[Progress]:
        """What the listener shows of a step while it lasts."""
        call = self._call
        if call is not None:
            call(text, 0, 1)
            yield lambda done, total: call(text, done, total)
        else:
            with self._to.shown(text) as update:
                yield update

    def finished(self, text: str, took_s: float) -> None:
        """A step came to its end."""
        self._to.finished(text, took_s)
