"""One mutant, one forked child under limits: how it ended, what it cost, what it said."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

CPU_LIMIT_S = 20
"""A mutant that takes longer is a fault."""

MEMORY_LIMIT_BYTES = 500_000_000
"""So much more than its content needs, and a mutant is a fault."""

ADDRESS_ROOM_BYTES = 6_000_000_000
"""Address space above the parent's: it keeps the machine alive, the peak is what is judged."""

FILE_LIMIT_BYTES = 1_000_000_000
WALL_LIMIT_S = 300

_CHATTER = 200


@dataclass(frozen=True)
class Mutant:
    """A mutated file: its name, its bytes, and what was done to which seed file."""

    name: str
    data: bytes
    how: str


@dataclass(frozen=True)
class Kind:
    """A kind of input: how its mutants are made and tried."""

    name: str
    mutate: Callable[[np.random.Generator], Mutant]
    entries: tuple[Callable[[Path, Path], int], ...]
    """Entry points of the tool, each called with the mutant and a folder for what it writes.

    They return the memory in bytes that the accepted content honestly needed.
    """
    refusals: tuple[type[Exception], ...]
    """The errors that are one line for the user."""
    prepare: Callable[[], None] = lambda: None
    """Makes what all mutants begin from, once, before the children."""


@dataclass(frozen=True)
class Outcome:
    """How one mutant ended. `ended`: accepted, refused, or a fault by its name."""

    kind: str
    seed: int
    how: str
    ended: str
    said: str
    cpu_s: float
    peak_bytes: int
    """Resident memory at its highest, above the child's own at the start."""
    allowance_bytes: int
    chatter: str
    """What came out on stdout or stderr, cut."""

    @property
    def faults(self) -> tuple[str, ...]:
        """Every promise that it broke."""
        found = [] if self.ended in ("accepted", "refused") else [self.ended]
        if self.cpu_s > CPU_LIMIT_S:
            found.append("slow")
        if self.peak_bytes > self.allowance_bytes + MEMORY_LIMIT_BYTES:
            found.append("memory")
        return tuple(dict.fromkeys(found))

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def mutant_of(kind: Kind, seed: int) -> Mutant:
    """The mutant of a seed: the same in every run."""
    return kind.mutate(np.random.default_rng([seed, *kind.name.encode()]))


def try_mutant(kind: Kind, seed: int) -> Outcome:
    """Make the mutant of `seed` and try every entry point on it, in a child of this process."""
    with tempfile.TemporaryDirectory(prefix="fuzz.") as folder:
        reading, writing = os.pipe()
        chatter = Path(folder) / "chatter.txt"
        with warnings.catch_warnings():
            # Python 3.12 warns of forking beside threads; the child uses none of them.
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(kind, seed, Path(folder), chatter, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            told = stream.read()
        _, status, usage = os.wait4(pid, 0)
        said = chatter.read_text("utf-8", "replace").strip() if chatter.exists() else ""
    found = {"how": "", "ended": "crash", "said": _death(status), "start": 0, "allowance": 0}
    for line in told.splitlines():
        found |= json.loads(line)
    cpu_s = usage.ru_utime + usage.ru_stime
    if os.WIFSIGNALED(status):
        is_slow = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM)
        found |= {"ended": "slow" if is_slow else "crash", "said": _death(status)}
    if found["ended"] == "mutator":
        raise RuntimeError(f"{kind.name} {seed}: the mutator itself failed: {found['said']}")
    return Outcome(
        kind.name,
        seed,
        str(found["how"]),
        str(found["ended"]),
        str(found["said"]),
        round(cpu_s, 3),
        max(0, usage.ru_maxrss * 1024 - int(str(found["start"]))),
        int(str(found["allowance"])),
        said[:_CHATTER],
    )


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with {os.waitstatus_to_exitcode(status)}"


def _child(kind: Kind, seed: int, folder: Path, chatter: Path, writing: int) -> None:
    """Never returns. What is known is told line by line, so that a crash loses nothing."""

    def tell(**facts: object) -> None:
        os.write(writing, (json.dumps(facts) + "\n").encode())

    try:
        target = os.open(chatter, os.O_WRONLY | os.O_CREAT)
        os.dup2(target, 1)
        os.dup2(target, 2)
        faulthandler.disable()
        _limit()
        mutant = mutant_of(kind, seed)
        tell(how=mutant.how, start=_resident_bytes())
        inputs, out = folder / "in", folder / "out"
        inputs.mkdir()
        path = inputs / mutant.name
        path.write_bytes(mutant.data)
    except BaseException:  # noqa: BLE001  # told to the parent, which raises
        tell(ended="mutator", said=traceback.format_exc()[-2000:])
        os._exit(0)
    ended, said = "accepted", ""
    for entry in kind.entries:
        out.mkdir(exist_ok=True)
        verdict, words, needed = _judge(kind, entry, path, out)
        tell(allowance=needed)
        if verdict != "accepted" and ended in ("accepted", "refused"):
            ended, said = verdict, words
    tell(ended=ended, said=said)
    os._exit(0)


def _judge(
    kind: Kind, entry: Callable[[Path, Path], int], path: Path, out: Path
) -> tuple[str, str, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return "accepted", "", entry(path, out)
    except kind.refusals as error:
        line = str(error)
        return ("refused" if line.isprintable() else "not one line"), line[:400], 0
    except BaseException as error:  # noqa: BLE001  # the fault that is looked for
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "site-packages" not in frame.filename]
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in (ours[-1], frames[-1])]
        return "traceback", f"{type(error).__name__}: {str(error)[:200]} ({', '.join(places)})", 0


def _limit() -> None:
    with Path("/proc/self/statm").open() as stream:
        taken = int(stream.read().split()[0]) * resource.getpagesize()
    for which, value in (
        (resource.RLIMIT_CPU, CPU_LIMIT_S + 5),
        (resource.RLIMIT_AS, taken + ADDRESS_ROOM_BYTES),
        (resource.RLIMIT_FSIZE, FILE_LIMIT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError):
            resource.setrlimit(which, (value, resource.getrlimit(which)[1]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL_LIMIT_S)


def _resident_bytes() -> int:
    with Path("/proc/self/statm").open() as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()
