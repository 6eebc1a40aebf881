"""Progress by callback and warnings as values, for whoever calls a step from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vampnet_models.errors import InputError, passing
from vampnet_models.progress import Progress, Reporter
from vampnet_models.text import a_type

Listener = Callable[[str, int, int], None] | Reporter | None
"""Who hears how far a step is: called with (what is being done, done, total)."""


class Heard(Reporter):
    """Collects `warnings` and `errors` while it hands everything on to a listener.

    A listener that is a Reporter, as the command line's console is, hears notes and warnings too.
    What another one raises leaves every step as it is. Raises InputError for one that cannot be
    called.
    """

    def __init__(self, listener: Listener = None) -> None:
        super().__init__()
        if not (listener is None or isinstance(listener, Reporter) or callable(listener)):
            raise InputError(
                f"progress: is {a_type(listener)}; give a function of (text, done, total)"
            )
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
        if call is None:
            with self._to.shown(text) as update:
                yield update
            return
        reached = (0, 1)

        def tell(done: int, total: int) -> None:
            nonlocal reached
            reached = (done, total)
            with passing():
                call(text, done, total)

        tell(*reached)
        yield tell
        done, total = reached
        if done < total:
            tell(total, total)

    def finished(self, text: str, took_s: float) -> None:
        """A step came to its end."""
        self._to.finished(text, took_s)
