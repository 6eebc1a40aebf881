"""`vampbench`: one command per step of the way, and one that walks it all."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from optimize.variant import NotApplicable
from vampnet_models.errors import WorkbenchError
from workbench.boundary import hush_libraries, unforeseen
from workbench.bundle import bundle, check
from workbench.check import verify
from workbench.compare import compare
from workbench.console import fail
from workbench.convert import fuse, npu, weights
from workbench.fp16 import fp16
from workbench.import_checkpoints import import_checkpoints
from workbench.import_profile import import_profile
from workbench.inspect import inspect
from workbench.int8 import int8
from workbench.make_dynamic import make_dynamic
from workbench.make_static import make_static
from workbench.native import native
from workbench.overview import overview
from workbench.profile import profile
from workbench.qnn import qnn
from workbench.report import report
from workbench.run import demo, run
from workbench.samples import samples
from workbench.swap import swap
from workbench.synth import synth
from workbench.tune import tune
from workbench.vamp import vamp_command

INTERRUPTED = 130
TERMINATED = 143
"""What a shell reports of a command that Ctrl-C, or SIGTERM, has ended."""


SECTIONS: tuple[tuple[str, tuple[click.Command, ...]], ...] = (
    ("Everything at once", (demo, run, overview, report)),
    ("Models and audio", (inspect, import_checkpoints, synth, samples)),
    ("Convert", (fuse, fp16, int8, weights, npu, native, make_static, make_dynamic)),
    ("Judge", (verify, swap, profile, qnn, import_profile, tune)),
    ("Ship", (bundle, check)),
    ("Listen", (vamp_command, compare)),
)


class InSections(click.Group):
    """A group whose help lists the commands in the order in which they are used."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for each section, each command with its whole first sentence."""
        for title, commands in SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(c.name or "", c.get_short_help_str(90)) for c in commands])


@click.group(cls=InSections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vampnet-workbench", prog_name="vampbench")
def cli() -> None:
    """Fuse, convert, quantize, verify and profile the ONNX models of VampNet.

    \b
    Start here:
      vampbench demo                       everything, on built-in models and audio
      vampbench run MODELS_DIR -o OUT      everything, on your models
      vampbench COMMAND --help             an example of each command

    Exit codes: 0 done; 1 a promise was missed (accuracy below the threshold, an expected
    fusion missing) or one of several models failed; 2 the input or an option cannot be used.
    """


for _, commands in SECTIONS:
    for command in commands:
        cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error is one line and an exit code.

    With `--json` it is also `{"error": {"message", "exit_code"}}` on stdout: a command prints its
    own JSON last, so that one which fails has not.
    """
    given = sys.argv[1:] if arguments is None else arguments
    hush_libraries()
    code, message = _ended(given)
    if message is not None:
        fail(message, code, as_json="--json" in given)
    _let_go_of_stdout()
    sys.exit(code)


class Terminated(KeyboardInterrupt):
    """SIGTERM: everything is put away as after Ctrl-C."""


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


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


def _let_go_of_stdout() -> None:
    """What cannot be written is dropped: the interpreter would end with a traceback about it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ended(arguments: list[str]) -> tuple[int, str | None]:
    """How the command ended: its exit code, and what the user must read where it failed."""
    try:
        with _sigterm_raises():
            code = cli.main(args=arguments, prog_name="vampbench", standalone_mode=False)
        # A disk that is full shows here, where it still is an error of the command.
        sys.stdout.flush()
        return code if isinstance(code, int) else 0, None
    except click.exceptions.Exit as stop:
        return stop.exit_code, None
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2, None
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "vampbench"
        reason = " ".join(error.format_message().split()).rstrip(".")
        return 2, f"error: {reason}; see `{command} --help`"
    except WorkbenchError as error:
        return error.exit_code, f"error: {error}"
    except NotApplicable as error:
        return 1, f"error: not applicable: {error}"
    except (KeyboardInterrupt, click.Abort) as stop:
        # click turns a KeyboardInterrupt into an Abort, and keeps it as the cause.
        ended = isinstance(stop, Terminated) or isinstance(stop.__context__, Terminated)
        return TERMINATED if ended else INTERRUPTED, (
            "interrupted: finished steps are kept, the same command goes on from there"
        )
    except (BrokenPipeError, SystemExit):
        # The reader of a pipe has seen enough (`vampbench inspect ... | head`); click tells so by
        # SystemExit, which nothing else here raises.
        return 0, None
    except Exception as error:  # noqa: BLE001
        # The last boundary: no command ends with a traceback, whatever a library raises.
        found = unforeseen(error)
        return found.exit_code, f"error: {found}"
