"""Measure everything of CUDA; `bench/cuda.sh` makes the environment and calls this.

    python -m bench.cuda [--list] [--only STEP ...] [--rounds N] [--out FILE]

Raw results: bench/results/cuda.json, written after every step; the same call goes on where it
stopped. `--provider cpu` tries all of it without a device: such a record says so, lies in the work
folder, and is no result. Exit code 1: a step failed, or attention was not fused; 2: no CUDA here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import ROOT
from bench.cuda.setting import Setting, write_record
from bench.cuda.steps import STEPS, listed, run_steps
from bench.cuda.table import table
from profiles.host import describe_host
from profiles.targets.cuda import device_facts
from profiles.targets.order import find_timed
from vampnet_models.cache import Json
from vampnet_models.errors import InputError, WorkbenchError
from vampnet_models.records.generic import as_json

_OUT = ROOT / "bench" / "results" / "cuda.json"
_SCHEMA = 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description=__doc__)
    parser.add_argument("--list", action="store_true", help="the steps and their minutes")
    names = [step.name for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="STEP")
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--models", type=Path, help="time these in place of the full-size ones")
    parser.add_argument("--heard", type=Path, help="judge the tokens of these, not the built-in")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "cuda", help="10 GB")
    parser.add_argument("--out", type=Path, help="the record")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--frames", type=int, help="of the timed input, for every model")
    parser.add_argument("--clips", type=int, help="recordings that judge; all by default")
    parser.add_argument("--tune-limit", type=float, default=120.0, help="seconds")
    return parser


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say. Raises InputError where it cannot begin."""
    chosen = _parser().parse_args(arguments)
    steps = [step for step in STEPS if step.name in chosen.only]
    if chosen.list:
        print(listed(steps))
        return 0
    _, place = find_timed(chosen.provider)
    setting = Setting(
        name=chosen.provider,
        place=place,
        given=None if chosen.models is None else chosen.models.resolve(),
        heard=None if chosen.heard is None else chosen.heard.resolve(),
        work=chosen.work.resolve(),
        rounds=chosen.rounds,
        frames=chosen.frames,
        clips=chosen.clips,
        tune_limit_s=chosen.tune_limit,
    )
    out = chosen.out or (_OUT if setting.name == "cuda" else setting.work / "cuda.json")
    record = opened(out, setting)
    write_record(out, record)
    problems = run_steps(steps, setting, record, out, lambda text: print(text, flush=True))
    print(table(record))
    for each in problems:
        print(each, file=sys.stderr)
    print(out)
    return 1 if problems else 0


def opened(path: Path, setting: Setting) -> Json:
    """The record so far, or a new one. Raises InputError where it is of another setting."""
    fresh: Json = {
        "schema": _SCHEMA,
        "command": "bench/cuda.sh",
        "is_trial": setting.name != "cuda",
        "setting": setting.facts(),
        "host": as_json(describe_host()),
        "device": device_facts(),
        "versions": {each: _version(each) for each in ("onnxruntime", "onnxruntime-gpu", "torch")},
        "steps": {},
    }
    if not path.is_file():
        return fresh
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
        same = found["setting"] == fresh["setting"] and found["versions"] == fresh["versions"]
        device = found["device"].get("name") == fresh["device"].get("name")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no readable record of CUDA; remove it or give --out") from error
    if not (same and device):
        raise InputError(f"{path}: of another device, versions or options; remove it or give --out")
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _main() -> int:
    """Exit code 2 where it cannot begin, 130 where it was stopped."""
    try:
        return run(sys.argv[1:])
    except WorkbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped: finished steps are kept; the same call goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(_main())
