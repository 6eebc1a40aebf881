"""Run the stale steps one after another; each is recorded as it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.everything.record import (
    Record,
    made_of,
    read_record,
    reasons,
    write_record,
    wrote,
)
from bench.everything.steps import Step
from vampnet_models.errors import InputError


def listed(steps: Sequence[Step], record: Record, root: Path, *, code: bool = False) -> str:
    """A line per step, a star before those that are stale, and the expected hours of these.

    What other code made is stale with `code` alone.
    """
    width = max(len(step.name) for step in steps)
    stale, known = reasons(steps, record, root, code=code), reasons(steps, record, root, code=True)
    lines = []
    for step in steps:
        told = stale.get(step.name) or known.get(step.name, "is made")
        mark = "*" if step.name in stale else " "
        lines.append(f"{mark} {step.name:{width}}  {step.minutes:5.1f} min  {told}")
    hours = sum(step.minutes for step in steps if step.name in stale) / 60
    return "\n".join([*lines, f"{len(stale)} of {len(steps)} to make: about {hours:.1f} hours"])


def make(
    steps: Sequence[Step],
    only: Sequence[str] | None,
    root: Path,
    kept: Path,
    *,
    code: bool = False,
) -> list[str]:
    """Make the steps that are stale, or those of `only`. Returns a line for each that failed.

    With `code`, those that other code made are stale too. Steps after one that is still stale are
    left; all others go on. An interrupt leaves what was recorded. Raises InputError where the
    record is torn.
    """
    record = read_record(kept)
    failed: list[str] = []
    for number, step in enumerate(steps, 1):
        stale = reasons(
            steps, record, root, code=code
        )  # anew: a step may have changed what others read
        if step.name not in (stale if only is None else only):
            continue
        told = f"[{number}/{len(steps)}] {step.name}"
        print(f"{told}: about {step.minutes:g} minutes", flush=True)
        start = time.monotonic()
        try:
            lacking = [name for name in step.after if name in stale]
            if lacking:
                raise InputError(f"{step.name}: left, because {', '.join(lacking)} is not made")
            if record.pop(step.name, None):  # its files are not to be trusted until it ends
                write_record(kept, record)
            made = made_of(step, record, root)
            for command in step.commands:
                _run(step, command, root)
            record[step.name] = made | wrote(step, root)
        except InputError as error:
            failed.append(str(error))
            print(error, file=sys.stderr, flush=True)
            continue
        write_record(kept, record)
        print(f"{told}: made in {(time.monotonic() - start) / 60:.1f} minutes", flush=True)
    return failed


def _run(step: Step, command: tuple[str, ...], root: Path) -> None:
    """One command, its output shown. Raises InputError with what failed.

    An interrupt goes to the child too: it is waited for, so that it can put away its work.
    """
    own = Path(sys.executable).parent / command[0]
    program = str(own) if own.exists() else command[0]
    try:
        child = subprocess.Popen([program, *command[1:]], cwd=root)
    except OSError as error:
        raise InputError(f"{step.name}: cannot start {command[0]} ({error.strerror})") from error
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.wait()
        raise
    if code:
        raise InputError(f"{step.name}: exit code {code} of {' '.join(command)}")
