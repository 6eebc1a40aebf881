"""`vampbench`: one command per step of the way, and one that walks it all."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from vampbench.cli.commands import InSections, all_commands, quiet
from vampbench.cli.console import Said, fail
from vampnet_models.errors import (
    TRACEBACK_VARIABLE,
    UNFORESEEN_LOG,
    NotApplicable,
    WorkbenchError,
    unforeseen,
)

_INTERRUPTED = 130
_TERMINATED = 143
"""What a shell reports of a command that Ctrl-C, or SIGTERM, has ended."""

_RESUMING = frozenset({"demo", "run", "tune", "int8"})
"""Commands that find what an interrupted one had finished."""


@click.group(cls=InSections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vampnet-workbench", prog_name="vampbench")
def cli() -> None:
    """Fuse, convert, quantize, verify and profile the ONNX models of VampNet.

    \b
    Start here:
      vampbench demo                       everything, on built-in models and audio
      vampbench run MODELS_DIR -o OUT      everything, on your models
      vampbench COMMAND --help             an example of each command

    The answer goes to stdout, progress, warnings and errors to stderr. --quiet, before a command
    or behind it, leaves warnings and errors alone. NO_COLOR=1 takes the colours away, COLUMNS sets
    the width of tables in a pipe.

    \b
    Completion of commands and options, in ~/.bashrc (zsh_source, fish_source for others):
      eval "$(_VAMPBENCH_COMPLETE=bash_source vampbench)"

    Exit codes: 0 done; 1 a promise was missed (accuracy below the threshold, an expected
    fusion missing) or one of several models failed; 2 the input or an option cannot be used.
    """


cli.commands = all_commands()
cli.params.append(quiet())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error is one line and an exit code.

    With `--json` it is also in the answer on stdout: a command prints its own last, so that one
    which fails has not.
    """
    given = sys.argv[1:] if arguments is None else arguments
    _open_closed_streams()
    _set_up_logs()
    said = Said(next((word for word in given if word in cli.commands), None))
    code, message = _ended(given, said)
    if message is not None:
        fail(message, said, as_json="--json" in given)
    _let_go_of_stdout()
    sys.exit(code)


def _set_up_logs() -> None:
    """Keep what libraries log and warn of from the terminal: what matters is in our own words.

    Python's logging writes warnings to stderr where nobody set it up. Filters of warnings stay, so
    that one which was made an error still is one. ONNX Runtime is told by
    `vampnet_models.onnxfile.session`. Where the user asks for it, all of that is shown, and the
    tracebacks of unforeseen errors as well.
    """
    wanted = os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0")
    UNFORESEEN_LOG.handlers = [logging.StreamHandler()] if wanted else []
    UNFORESEEN_LOG.setLevel(logging.DEBUG if wanted else logging.NOTSET)
    if wanted:
        return
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    warnings.showwarning = _unshown


def _unshown(*_warning: object, **_more: object) -> None:
    return None


class _Terminated(KeyboardInterrupt):
    """SIGTERM: everything is put away as after Ctrl-C."""


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM end the work by an exception, so that folders and children end with it."""
    # Only the main thread may set handlers; a caller from another one keeps its own.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _open_closed_streams() -> None:
    """Where the caller closed a stream, Python has None in its place: what is said is dropped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _let_go_of_stdout() -> None:
    """What cannot be written is dropped: the interpreter would end with a traceback about it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ended(arguments: list[str], said: Said) -> tuple[int, str | None]:
    """How the command ended: its exit code, and what the user must read where it failed."""
    try:
        with _sigterm_raises():
            code = cli.main(args=arguments, prog_name="vampbench", standalone_mode=False, obj=said)
        # A disk that is full shows here, where it still is an error of the command.
        sys.stdout.flush()
        return code if isinstance(code, int) else 0, None
    except click.exceptions.Exit as stop:
        return stop.exit_code, None
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2, None
    except click.ClickException as error:
        return 2, _usage(error)
    except WorkbenchError as error:
        return error.exit_code, f"error: {error}"
    except NotApplicable as error:
        return 1, f"error: not applicable: {error}"
    except (KeyboardInterrupt, click.Abort) as stop:
        # click turns a KeyboardInterrupt into an Abort, and keeps it as the cause.
        ended = isinstance(stop, _Terminated) or isinstance(stop.__context__, _Terminated)
        keeps = any(each in _RESUMING for each in arguments[:1])
        return _TERMINATED if ended else _INTERRUPTED, (
            "interrupted: finished steps are kept, the same command goes on from there"
            if keeps
            else "interrupted: nothing that was unfinished is left, the same command begins anew"
        )
    except (BrokenPipeError, SystemExit):
        # The reader of a pipe has seen enough (`vampbench inspect ... | head`); click tells so by
        # SystemExit, which nothing else here raises.
        return 0, None
    except Exception as error:  # noqa: BLE001
        # The last boundary: no command ends with a traceback, whatever a library raises.
        found = unforeseen(error)
        return found.exit_code, f"error: {found}"


def _usage(error: click.ClickException) -> str:
    """What is wrong with a command line, and where its help is."""
    context = getattr(error, "ctx", None)
    of_command = isinstance(error, click.NoSuchOption) and error.option_name == "--json"
    if of_command and context is not None and context.command is cli:
        return "error: --json stands behind the command: `vampbench COMMAND ... --json`"
    command = context.command_path if context is not None else "vampbench"
    reason = " ".join(error.format_message().split()).rstrip(".")
    return f"error: {reason}; see `{command} --help`"
