"""Where exceptions that nobody foresaw stop: a model, a step, the command."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from vampnet_models.errors import InputError, Unforeseen, WorkbenchError, reason_of

_VARIABLE = "VAMPBENCH_TRACEBACK"
"""Set to 1, unforeseen errors show where they came from, and libraries say what they say."""


@contextmanager
def contained(*foreseen: type[Exception]) -> Iterator[None]:
    """The boundary of one model's step: whatever is raised leaves it as a WorkbenchError.

    Errors of ours and the `foreseen` ones pass as they are; so does a reader of our output that
    has gone.
    """
    passing: tuple[type[Exception], ...] = (WorkbenchError, BrokenPipeError, *foreseen)
    try:
        yield
    except passing:
        raise
    except Exception as error:
        raise unforeseen(error) from error


def unforeseen(error: Exception) -> WorkbenchError:
    """The user's line for an exception of a library or of ours; its traceback where asked for."""
    if _wanted():
        sys.stderr.write("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return InputError(f"{where}{error.strerror}; check the path, its rights and free space")
    if isinstance(error, MemoryError):
        return Unforeseen("memory ran out; free some, or give less at once")
    kind = type(error).__name__
    return Unforeseen(f"unforeseen {kind}: {reason_of(error)}; {_VARIABLE}=1 shows where it arose")


def _wanted() -> bool:
    """Whether the user asked for more than one line."""
    return os.environ.get(_VARIABLE, "") not in ("", "0")


def hush_libraries() -> None:
    """Keep what libraries log and warn of from the terminal: what matters is in our own words.

    Python's logging writes warnings to stderr where nobody set it up. Filters of warnings stay, so
    that one which was made an error still is one. ONNX Runtime is told by
    `vampnet_models.onnxfile.session`.
    """
    if _wanted():
        return
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    warnings.showwarning = _unshown


def _unshown(*_warning: object, **_more: object) -> None:
    return None
