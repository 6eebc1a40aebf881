"""What libraries log while they work for us, as values in place of lines on the standard error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Kept(logging.Handler):
    """Keeps the first line of each record."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's text without its traceback."""
        self.lines.append(record.getMessage().split("\n", 1)[0])


@contextmanager
def kept_log(*libraries: str) -> Iterator[list[str]]:
    """The warnings that these libraries log meanwhile; none reaches the standard error."""
    handler = _Kept()
    loggers = [logging.getLogger(name) for name in libraries]
    before = [each.propagate for each in loggers]
    for each in loggers:
        each.addHandler(handler)
        each.propagate = False
    try:
        yield handler.lines
    finally:
        for each, propagate in zip(loggers, before, strict=True):
            each.removeHandler(handler)
            each.propagate = propagate
