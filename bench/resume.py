"""Does a run that is killed again and again end with the results of one that is not?

    python -m bench.resume [MODELS] [--kills 10] [--recipes LIST] [-o FOLDER]

Runs the job once undisturbed, then kills it with SIGKILL at random moments, spread over the work
by the time that the undisturbed one took, and starts the same command again each time; at last it
runs to its end. Exit code 1 when the two results differ in anything but times, or one left files
that the other did not.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from profiles.targets.order import profilers
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.onnxfile.artifact import write_text

_MEASURED = frozenset({"created", "steps", "chains", "host", "command", "decision"})
"""Keys of results.json that hold times, what was chosen by them, or where they were taken."""

_TIMED_PROFILES = frozenset(each.name for each in profilers() if each.provider)

_ROUNDING = 1e-9
"""Relative: another number of threads sums in another order."""


def differences(one: Any, other: Any, where: str = "results") -> list[str]:
    """Where two results.json differ, times apart; a line per place."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [k for k in dict.fromkeys((*one, *other)) if k not in _MEASURED]
        return [
            line
            for key in keys
            for line in (
                _profiles(one.get(key), other.get(key), f"{where}.{key}")
                if key == "profiles"
                else differences(one.get(key), other.get(key), f"{where}.{key}")
            )
        ]
    if isinstance(one, list) and isinstance(other, list):
        ones, others = ([v for v in side if not _chosen_by_time(v)] for side in (one, other))
        if len(ones) != len(others):
            return [f"{where}: {len(ones)} and {len(others)} entries"]
        pairs = enumerate(zip(ones, others, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{where}[{i}]")]
    if isinstance(one, float) and isinstance(other, float):
        return (
            [] if math.isclose(one, other, rel_tol=_ROUNDING) else [f"{where}: {one} and {other}"]
        )
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def _profiles(one: dict[str, Any], other: dict[str, Any], where: str) -> list[str]:
    """Of measured targets only what was measured on what; others whole."""
    if one.keys() != other.keys():
        return [f"{where}: {sorted(one)} and {sorted(other)}"]
    found = []
    for target, record in one.items():
        sides = [record, other[target]]
        if target in _TIMED_PROFILES:
            sides = [{k: s.get(k) for k in ("kind", "target", "feed_shapes")} for s in sides]
        found += differences(*sides, f"{where}.{target}")
    return found


def _chosen_by_time(entry: Any) -> bool:
    return isinstance(entry, dict) and str(entry.get("name", "")).startswith("fastest measured")


_CALL = "from vampbench.cli.main import main; main()"


def resume(arguments: Sequence[str], folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Run `vampbench ARGUMENTS -o OUT` undisturbed and killed; how they differ, and the moments.

    The command is the same in both: each works in its own folder, on the same relative path.
    """
    whole, killed = folder / "whole", folder / "killed"
    start = time.perf_counter()
    code = _start(arguments, whole).wait()
    took_s = time.perf_counter() - start
    draw = random.Random(seed)
    moments_s: list[float] = []
    finished_early = 0
    for _ in range(kills):
        process = _start(arguments, killed)
        # Finished steps are kept, so that this many pieces together make about the whole.
        moment_s = draw.uniform(0.0, 2.0 / (kills + 1)) * took_s
        try:
            process.wait(timeout=moment_s)
            finished_early += 1
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments_s.append(moment_s)
    again = _start(arguments, killed).wait()
    one, other = (json.loads((f / "out/results.json").read_text()) for f in (whole, killed))
    names = [{str(p.relative_to(f / "out")) for p in _kept(f / "out")} for f in (whole, killed)]
    return {
        "took_s": took_s,
        "killed_at_s": moments_s,
        "finished_before_the_kill": finished_early,
        "exit_codes": [code, again],
        "differences": differences(one, other),
        "files": sorted(names[0] ^ names[1]),
    }


def _kept(out: Path) -> list[Path]:
    """What a run leaves for its user; `work` is its own, and safe to delete."""
    return [p for p in out.rglob("*") if p.is_file() and "work" not in p.relative_to(out).parts]


def _start(arguments: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _CALL, *arguments, "-o", "out"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _main() -> int:
    """Do it, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="?", help="default: the built-in models")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipes", default="fp16,int8-static,int8-dynamic")
    parser.add_argument("--target", dest="targets", default="cpu,mobile")
    parser.add_argument("--rounds", default="5")
    parser.add_argument("--audio", type=Path, help="default: the built-in sample pack")
    parser.add_argument("--results", type=Path, help="also write the outcome here")
    parser.add_argument("-o", "--output", type=Path, help="default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vampbench-") as scratch:
        folder = options.output or Path(scratch)
        models = options.models or builtin_models(folder)
        arguments = ["run", str(models.resolve()), "--recipes", options.recipes]
        arguments += ["--target", options.targets, "--rounds", options.rounds]
        if options.audio is not None:
            arguments += ["--audio", str(options.audio.resolve())]
        found = resume(arguments, folder, options.kills, options.seed)
    text = json.dumps(found, indent=1)
    print(text)
    if options.results is not None:
        write_text(options.results, text + "\n")
    return 1 if found["differences"] or found["files"] else 0


if __name__ == "__main__":
    sys.exit(_main())
