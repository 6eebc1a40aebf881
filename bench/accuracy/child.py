"""A tool's own process: ended at its limits with all that it started, and told in its own words."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT
from vampnet_models.text import end_of

_POLL_S = 0.02
ENDED = "ended"

_WORDS_CHARACTERS = 300
_LOG_BYTES = 65_536
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_RAISED = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")
_ADDRESS = re.compile(r"\b\w+://\S+")
_FOLDERS = re.compile(r"(?<![\w.])[~.]{0,2}/(?:[^\s/'\":,;()\[\]]+/)*")


@dataclass(frozen=True)
class Limits:
    """What a process and those that it starts may take together before they are ended."""

    peak_bytes: float = float("inf")
    seconds: float = float("inf")


@dataclass(frozen=True)
class Ran:
    """What a process took.

    seconds, cpu_seconds: from start to end; the latter of all that it waited for too.
    peak_rss_bytes: the most that it and those that it started held.
    failed: why it did not end well; None where it did.
    """

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    failed: str | None


def run_child(command: Sequence[str], log: Path, limits: Limits) -> Ran:
    """Run a command in the repository; what it says goes to `log`, all that it starts ends."""
    before_s, started_s = _children_cpu_s(), time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        peak_bytes, failed = _watched(process, limits)
    return Ran(
        time.perf_counter() - started_s,
        _children_cpu_s() - before_s,
        peak_bytes,
        failed or (None if process.returncode == 0 else _said(log, process.returncode)),
    )


def end_of_words(text: str) -> str:
    """The last line that names an exception, or any last line, of at most 300 characters.

    It has no paths, addresses or control characters.
    """
    lines = [line for line in re.split(r"[\r\n]+", _TERMINAL.sub("", text)) if line.strip()]
    # Bars of progress are often drawn once more behind what was raised.
    raised = [line for line in lines if _RAISED.match(line)]
    line = (raised or lines or [""])[-1]
    return end_of(_FOLDERS.sub("", _ADDRESS.sub("", line)), _WORDS_CHARACTERS)


def _said(log: Path, code: int) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LOG_BYTES))
        words = end_of_words(stream.read().decode(errors="replace"))
    how = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
    if code < 0:
        return f"{how}: {words}" if words else f"{how}, nothing said"
    return words or f"{how}, nothing said"


def _children_cpu_s() -> float:
    """Of all processes that were waited for; other work stretches it less than the wall time."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watched(process: subprocess.Popen[bytes], limits: Limits) -> tuple[int, str | None]:
    """Wait for a process; the peak of its group, and why that was ended where it was."""
    peak_bytes = 0
    started_s = time.perf_counter()
    try:
        while process.poll() is None:
            peak_bytes = max(peak_bytes, _group_bytes(process.pid))
            if peak_bytes > limits.peak_bytes:
                return peak_bytes, f"{ENDED} at its limit of {limits.peak_bytes / 1e9:.1f} GB"
            if time.perf_counter() - started_s > limits.seconds:
                return peak_bytes, f"{ENDED} after its limit of {limits.seconds:.0f} s"
            time.sleep(_POLL_S)
    finally:
        _end_group(process)
    return peak_bytes, None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process's group, itself too, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _group_bytes(group: int) -> int:
    """The high-water mark of the leader, and what the others of its group hold now."""
    found = _status_bytes(group, "VmHWM:")
    for pid in _descendants(group):
        found += _status_bytes(pid, "VmRSS:")
    return found


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    children: list[int] = []
    # Any of them may have ended by now.
    with contextlib.suppress(OSError):
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            children += [int(each) for each in listed.read_text(encoding="ascii").split()]
    return children + [each for child in children for each in _descendants(child)]


def _status_bytes(pid: int, key: str) -> int:
    """A mark of /proc's status: what wait4 reports would include the parent's at the fork."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    marks = [line.split()[1] for line in status.splitlines() if line.startswith(key)]
    return int(marks[0]) * 1024 if marks else 0
