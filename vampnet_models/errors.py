"""The errors a user can meet.

WorkbenchError
├── InputError      a file, folder or option that cannot be used (exit code 2)
└── PromiseMissed   the work was done and a promise was not kept (exit code 1)
"""


class WorkbenchError(Exception):
    """One line for the user: what, where, what to do."""

    exit_code = 2


class InputError(WorkbenchError):
    """The input cannot be used; nothing was written."""


class PromiseMissed(WorkbenchError):
    """An accuracy threshold, an expected fusion or a named precision was not reached."""

    exit_code = 1
