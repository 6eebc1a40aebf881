"""Run the stale steps one after another; each is recorded as it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.everything.record import hash_of, read_record, reasons, write_record, wrote
from bench.everything.steps import Step
from vampnet_models.errors import InputError


def listed(steps: Sequence[Step], stale: dict[str, str]) -> str:
    """A line per step, and the expected hours of those that are stale."""
    width = max(len(step.name) for step in steps)
    lines = [
        f"{step.name:{width}}  {step.minutes:5.1f} min  {stale.get(step.name, 'is made')}"
        for step in steps
    ]
    hours = sum(step.minutes for step in steps if step.name in stale) / 60
    return "\n".join([*lines, f"{len(stale)} of {len(steps)} to make: about {hours:.1f} hours"])


def make(steps: Sequence[Step], only: Sequence[str] | None, root: Path, kept: Path) -> list[str]:
    """Make the steps that are stale, or those of `only`. Returns a line for each that failed.

    Steps after one that is still stale are left; all others go on. An interrupt leaves what was
    recorded. Raises InputError where the record is torn.
    """
    record = read_record(kept)
    failed: list[str] = []
    for number, step in enumerate(steps, 1):
        stale = reasons(steps, record, root)  # anew: a step may have changed what others read
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
            read = hash_of(step, record, root)
            for command in step.commands:
                _run(step, command, root)
            record[step.name] = {"read": read, **wrote(step, root)}
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
