"""Every command that README, the pages and the commands' help show runs, and prints what they show.

They run in the order of the pages, in one folder: a later one takes what an earlier one made.
What makes a run shorter and changes nothing that is shown is given beside: short recordings,
the fewest timed runs, one thread. The examples of each command's help run on the least models.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import click
import pytest

from docs.pages import README, pages
from docs.sessions import Shown, agrees, examples, in_sentences, run_shown, shown
from optimize.backends.inc import inc_version
from profiles.targets.qnn import unavailable
from tests.docs.shown.rooms import Rooms
from vampbench.cli.main import cli
from vampnet_models.errors import InputError
from vampnet_models.native.library import compiler

FIRST = ("README.md", "docs/start/vampnet.md", "docs/start/onnx.md", "docs/how-to/ship.md")
"""What the other pages build on."""

CUDA = "bench/cuda.sh"

STANDS_FOR = {
    "FOLDER": "models",
    "OUT": "out/mine",
    "BUNDLE": "out/android",
    "FP32.onnx": "models/codec_encoder.onnx",
    "THEIRS.onnx": "encoder.theirs.onnx",
    "vampnet": "small",  # 3 GB of models
    "selfcheck.py": "out/android/selfcheck.py",
}
"""What a reader puts in the place of a word."""

CONVERTED = r"[\d.]+ MB \(\d+% of [\d.]+ MB\)"
REPORTED = r"(?m)^report +\S+\.html$"
SAYS = {
    "bundle": r"(?m)^ +sha256 +[0-9a-f]{64} of the manifest",
    "check": r"\bok\b",
    "demo": REPORTED,
    "fp16": CONVERTED,
    "fuse": CONVERTED,
    "import": r"(?s)\b0 unaccounted\b.*\bimport\.json",
    "int8": CONVERTED,
    "make-static": r" alone$",
    "npu": CONVERTED,
    "run": REPORTED,
    "tune": r"(?m)^tuned +\S+/tune\.json\b",
    "verify": r"(?m)^status +ok$",
    "weights": CONVERTED,
}
"""What the answer of a command holds, whatever the models are."""


@dataclass(frozen=True)
class Step:
    """A command where it is shown: a page, or the help of a command."""

    place: str
    shown: Shown

    def __str__(self) -> str:
        return f"{self.place}: {self.shown.command}"


def _is_whole(line: str) -> bool:
    """Whether a line in a sentence is a command to type, and not just the name of one."""
    program, *words = shlex.split(line)
    if program != "vampbench" or words[0].startswith("-"):
        return True
    if len(words) == 1:
        return words[0] == "native"
    command = cli.commands[words[0]]
    try:
        command.make_context(words[0], words[1:])
    except click.UsageError:
        return False
    return True


def _steps() -> Iterator[Step]:
    found = {path.relative_to(README.parent).as_posix(): path for path in pages()}
    done: set[str] = set()
    for name in dict.fromkeys((*FIRST, *found)):
        text = found[name].read_text(encoding="utf-8")
        spans = (Shown(line, None) for line in in_sentences(text) if _is_whole(line))
        for each in (*shown(text), *spans):
            if each.command not in done:
                yield Step(name, each)
            done.add(each.command)
    for name, command in sorted(cli.commands.items()):
        if not command.hidden:
            yield from (Step(name, each) for each in examples(command))


STEPS = list(_steps())


def missing(command: str) -> str | None:
    """What a command needs that is not here; None where it can run."""
    program, *words = shlex.split(command)
    if program == ".":
        return "the environment that it enters is the one of these tests"
    if program not in ("vampbench", "python", "make", CUDA) and shutil.which(program) is None:
        return f"{program} is not installed"
    if program != "vampbench":
        return None
    native = words[0] == "native" or {"--native", "cpu-native"} & {*words} or ".native." in command
    if native and compiler() is None:
        return "no C++ compiler (g++) is here"
    if words[0] == "qnn":
        return unavailable()
    if "neural-compressor" in words:
        (interpreter,) = (
            p.default for p in cli.commands[words[0]].params if "--inc-python" in p.opts
        )
        try:
            inc_version(Path(str(interpreter)))
        except InputError as error:
            return str(error)
    return None


def _brief(command: str, folder: Path) -> str:
    """The command with a reader's own words in it, the least timing, and short audio."""
    program, *words = shlex.split(command)
    if program == "make":
        return f"make -n -C {shlex.quote(str(README.parent))} {shlex.join(words)}"
    if program == CUDA:
        # All of it takes a GPU, its plan none.
        return (
            f"CUDA_PYTHON=$(command -v python) {shlex.quote(str(README.parent / program))} --list"
        )
    if program == "python" and words[0] in ("-m", "docs/update.py"):
        # These take hours, or other tools, or write into the checkout.
        path = words[0] if words[0] == "-m" else str(README.parent / words[0])
        return shlex.join([program, path, *words[1:], "--help"])
    words = [STANDS_FOR.get(word, word) for word in words]
    if "HEX" in words:
        manifest = (folder / "out" / "android" / "manifest.json").read_bytes()
        words = [w.replace("HEX", hashlib.sha256(manifest).hexdigest()) for w in words]
    if program == "vampbench" and not words[0].startswith("-"):
        options = {o for p in cli.commands[words[0]].params for o in p.opts} - set(words)
        if "--audio" in options and "--golden" not in words:
            words += ["--audio", "recordings"]
        if "--rounds" in options:
            words += ["--rounds", "3"]
        if "--threads" in options:
            words += ["--threads", "1"]
    return shlex.join([program, *words])


def _outputs(command: str) -> list[str]:
    words = shlex.split(command)
    return [after for word, after in pairwise(words) if word == "-o"]


def run(command: str, folder: Path) -> str:
    """Run a command line that succeeds, writes what it was told to, and prints no error."""
    began = time.time()
    done = run_shown(command, folder)
    print(f"$ {command}\n{done.stdout}{done.stderr}")
    assert done.returncode == 0, f"exit code {done.returncode}"
    assert "Traceback" not in done.stderr
    assert not re.search(r"^error: ", done.stderr, re.MULTILINE)
    for name in _outputs(command) if command.startswith("vampbench") else ():
        made = folder / name
        files = [made] if made.is_file() else [p for p in made.rglob("*") if p.is_file()]
        assert files, f"{name} was not written"
        assert all(file.stat().st_size for file in files if file.suffix != ".lock")
        assert max(file.stat().st_mtime for file in files) > began - 5, f"{name} is an old one"
    return done.stdout


def _judged(each: Shown, folder: Path) -> None:
    command = _brief(each.command, folder)
    printed = run(command, folder)
    words = shlex.split(command)
    if each.output is not None:
        assert agrees(each.output, printed, figures=False)
    if "--json" in words:
        json.loads(printed)
    elif words[0] == "vampbench":
        assert re.search(SAYS.get(words[1], r"\S"), printed)


SEARCHED = {"tune", "--tune", "tuned", "tuned-native", "out/npu", "out/coreml", "out/static"}
"""Words of commands that try much of each model: two of the least ones will do."""


def room_of(step: Step) -> str:
    """Where it runs: with the pages' commands, with a command's own examples, or with the least."""
    words = set(shlex.split(step.shown.command))
    if words & SEARCHED or step.place == "run":
        return "pair"
    if "lora.pth" in words:
        return "import"
    return {"check": "bundle"}.get(step.place, step.place if step.place in cli.commands else "")


@dataclass
class Desk:
    """Runs every step once, after those of its room that are shown before it."""

    rooms: Rooms
    _failed: dict[Step, Exception | None] = field(default_factory=dict)

    def run(self, step: Step) -> None:
        """Raise what this step failed with; skip it where it needs what is not here."""
        lacking = missing(step.shown.command)
        if lacking is not None:
            pytest.skip(f"{step.shown.command}: {lacking}")
        room = room_of(step)
        for each in STEPS[: STEPS.index(step) + 1]:
            if each in self._failed or room_of(each) != room or missing(each.shown.command):
                continue
            try:
                _judged(each.shown, self.rooms.of(room))
                self._failed[each] = None
            except (AssertionError, OSError, ValueError) as error:
                self._failed[each] = error
        failed = self._failed[step]
        if failed is not None:
            raise failed
