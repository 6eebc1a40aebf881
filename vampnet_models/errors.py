"""The errors a user can meet, and the reason of any other in one line.

WorkbenchError
├── InputError      a file, folder or option that cannot be used (exit code 2)
├── PromiseMissed   the work was done and a promise was not kept (exit code 1)
└── Unforeseen      a library, or we, met something that nobody foresaw (exit code 1)
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from vampnet_models.text import end_of, visible

_REASON_CHARACTERS = 300

TRACEBACK_VARIABLE = "VAMPBENCH_TRACEBACK"
"""Set to 1, the command line shows where unforeseen errors came from."""

UNFORESEEN_LOG = logging.getLogger("vampnet_models.errors.unforeseen")
"""Gets the traceback of each unforeseen error, at the level of debugging."""

_STATUS = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed: ?)?")
"""What every message begins with; the path stands in ours."""

_SOURCE = re.compile(r"/onnxruntime_src/\S*?/([\w.]+:\d+) ")
"""Where ONNX Runtime was built tells nobody anything; the file's own name may."""


class WorkbenchError(Exception):
    """One line for the user: what, where, what to do; names in it may come from any file."""

    exit_code = 2

    def __str__(self) -> str:
        return visible(super().__str__())


class InputError(WorkbenchError):
    """The input cannot be used; nothing was written."""


class PromiseMissed(WorkbenchError):
    """An accuracy threshold, an expected fusion or a named precision was not reached."""

    exit_code = 1


class Unforeseen(WorkbenchError):
    """An exception that nobody foresaw, in one line with its type and reason."""

    exit_code = 1


class NotApplicable(Exception):
    """A recipe has nothing to do on a model; the message is the reason."""

    def __str__(self) -> str:
        return visible(super().__str__())


def reason_of(error: BaseException, n_characters: int = _REASON_CHARACTERS) -> str:
    """Why something failed, in one line: what a library said, of which the end is kept.

    ONNX Runtime says the reason last, behind the path of the model and the names of its nodes.
    """
    return reason_in(str(error), n_characters) or type(error).__name__


def reason_in(said: str, n_characters: int = _REASON_CHARACTERS) -> str:
    """The same of what a library, or a process that ran it, has said."""
    return end_of(_SOURCE.sub(r"\1 ", _STATUS.sub("", said)), n_characters)


_PASSING = "vampbench_passing"
"""An attribute of exceptions that are a caller's own."""


@contextmanager
def contained(*foreseen: type[Exception]) -> Iterator[None]:
    """The boundary of one model's step: whatever is raised leaves it as a WorkbenchError.

    Errors of ours and the `foreseen` ones pass as they are; so does a reader of our output that
    has gone, and what a caller's own function raised within `passing`.
    """
    passing: tuple[type[Exception], ...] = (WorkbenchError, BrokenPipeError, *foreseen)
    try:
        yield
    except passing:
        raise
    except Exception as error:
        if getattr(error, _PASSING, False):
            raise
        raise unforeseen(error) from error


@contextmanager
def passing() -> Iterator[None]:
    """A call of a caller's own function: what it raises is the caller's, and is left alone."""
    try:
        yield
    except Exception as error:
        setattr(error, _PASSING, True)
        raise


def unforeseen(error: Exception) -> WorkbenchError:
    """The user's line for an exception of a library or of ours; its traceback is logged."""
    UNFORESEEN_LOG.debug("%s", type(error).__name__, exc_info=error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return InputError(f"{where}{error.strerror}; check the path, its rights and free space")
    if isinstance(error, MemoryError):
        return Unforeseen("memory ran out; free some, or give less at once")
    kind, variable = type(error).__name__, TRACEBACK_VARIABLE
    return Unforeseen(f"unforeseen {kind}: {reason_of(error)}; {variable}=1 shows where it arose")
