"""The parent's end of a measured process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from profiles.place import Place
from vampnet_models.errors import reason_in

_ROOT = Path(__file__).resolve().parents[2]


class ChildFailed(Exception):
    """The measured process ended, or said that it cannot go on; the text says why."""


class Child:
    """A running `profiles.measure.child`; `ready` is its first reply."""

    def __init__(self, process: subprocess.Popen[str], stderr: BinaryIO) -> None:
        self._process = process
        self._stderr = stderr
        self.ready = self._reply()

    def run(self, times: int = 1) -> list[float]:
        """Run the model that many times; seconds of each. Raises ChildFailed."""
        return cast("list[float]", self._ask(f"run {times}")["samples_s"])

    def peak_rss_bytes(self) -> int:
        """Its peak resident memory so far. Raises ChildFailed."""
        return int(self._ask("memory")["peak_rss_bytes"])

    def end_profile(self) -> Path:
        """Stop the operator profile; where it was written. Raises ChildFailed."""
        return Path(self._ask("profile")["path"])

    def cpu_s(self) -> float | None:
        """Processor time it has used, all threads; None where /proc does not tell."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _ask(self, request: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except OSError:
            raise ChildFailed(self._why()) from None
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildFailed(self._why())
        reply = cast("dict[str, Any]", json.loads(line))
        if reply["event"] == "error":
            raise ChildFailed(reply["message"])
        return reply

    def _why(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        last = f": {reason_in(said[-1], 300)}" if said else ""
        if code == -signal.SIGKILL:
            return f"its process was killed{last}; most often memory ran out: free some"
        if code < 0:
            return f"its process crashed with {signal.Signals(-code).name}{last}"
        return f"its process ended with exit code {code}{last}"


@contextmanager
def child(
    model: Path, feeds: Path, place: Place, bind: str = "", profile: Path | None = None
) -> Iterator[Child]:
    """Start a fresh process with `model` open; it is gone when the block ends.

    `bind` keeps inputs and outputs on that device; `profile` is the prefix of the operator
    profile's file.

    Raises ChildFailed when the model cannot be opened or the feeds do not fit it.
    """
    command = [
        sys.executable,
        "-P",
        "-m",
        "profiles.measure.child",
        str(model.resolve()),
        str(feeds.resolve()),
    ]
    command += [f"--threads={place.threads}", f"--provider={place.provider}"]
    if bind:
        command.append(f"--bind={bind}")
    if profile is not None:
        command.append(f"--profile={profile}")
    with started(command) as process:
        yield process


@contextmanager
def started(command: list[str]) -> Iterator[Child]:
    """Start any process that answers as `profiles.measure.child` does; gone after the block.

    Its modules are found in this checkout. Raises ChildFailed when it says that it cannot go on.
    """
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    # Without a name: nothing of it stays, however this process ends.
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        try:
            yield Child(process, stderr)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """End it by the end of its input, by force when it is in the middle of a run."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                # The last request was still buffered for a process that is gone.
                continue
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
