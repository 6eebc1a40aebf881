"""A command that is watched as a person would: what it says on both streams, and its silences."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 65_536


@dataclass(frozen=True)
class Watched:
    """How a command went; the longest wait is that without a word on either stream."""

    command: str
    code: int
    stdout: str
    stderr: str
    took_s: float
    cpu_s: float
    longest_wait_s: float


def watch(command: str, folder: Path, variables: dict[str, str], limit_s: float) -> Watched:
    """Run a line of bash to its end, or to `limit_s`, when its processes are killed.

    Waits are told as a machine without other work would have them: the load says how many share it.
    """
    used = _children_s()
    started_s = heard_s = time.monotonic()
    longest_s = 0.0
    said: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    with (
        subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process,
        selectors.DefaultSelector() as streams,
    ):
        try:
            for name in said:
                streams.register(getattr(process, name), selectors.EVENT_READ, name)
            while streams.get_map():
                left_s = started_s + limit_s - time.monotonic()
                if left_s <= 0:
                    os.killpg(process.pid, signal.SIGKILL)
                    break
                for key, _ in streams.select(left_s):
                    chunk = os.read(key.fd, CHUNK_BYTES)
                    now_s = time.monotonic()
                    longest_s = max(longest_s, (now_s - heard_s) * _share())
                    heard_s = now_s
                    if chunk:
                        said[key.data].append(chunk)
                    else:
                        streams.unregister(key.fileobj)
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    texts = {name: b"".join(chunks).decode(errors="replace") for name, chunks in said.items()}
    return Watched(
        command=command,
        code=process.returncode,
        **texts,
        took_s=time.monotonic() - started_s,
        cpu_s=_children_s() - used,
        longest_wait_s=max(longest_s, (time.monotonic() - heard_s) * _share()),
    )


def _share() -> float:
    """The share of a core that each of the running threads gets."""
    return min(1.0, (os.cpu_count() or 1) / max(os.getloadavg()[0], 0.01))


def _children_s() -> float:
    found = os.times()
    return found.children_user + found.children_system
