"""The errors a user can meet, and the reason of any other in one line.

WorkbenchError
├── InputError      a file, folder or option that cannot be used (exit code 2)
├── PromiseMissed   the work was done and a promise was not kept (exit code 1)
└── Unforeseen      a library, or we, met something that nobody foresaw (exit code 1)
"""

from __future__ import annotations

import re

from vampnet_models.text import end_of, visible

_REASON_CHARACTERS = 300

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
    said = _SOURCE.sub(r"\1 ", _STATUS.sub("", str(error)))
    return end_of(said, n_characters) or type(error).__name__
