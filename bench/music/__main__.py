"""Seconds per 10 s of music: the whole chain, sampler included, in sets of full-size variants.

    python -m bench.music MODELS WORK [--rounds N] [--torch-python PYTHON]

MODELS is what `vampbench synth --preset vampnet` wrote, WORK what `python -m bench.latency.run
MODELS --work WORK --prepare` made of it (codecs too). Every set is open in a process of its own;
each round lets all of them vary the same 10 s with the same seed, in an order drawn anew. PyTorch,
eager and compiled, samples as the original does; it runs in the interpreter of `make env-torch`.
The first run of each, which allocates and compiles, is not counted. Written after each round:
bench/results/music.json.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from bench import ROOT
from bench.music.results import summary
from bench.music.sets import SECONDS, SETS, STEMS, TORCH_SETS
from profiles.host import available_cores, describe_host
from vampnet_models.cache import Json
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.records.generic import as_json

_OUT = ROOT / "bench" / "results" / "music.json"


def torch_of(python: Path) -> str | None:
    """The version of PyTorch that an interpreter has; None where it has none."""
    command = [str(python), "-c", "import torch; print(torch.__version__)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _opened(name: str, options: argparse.Namespace, stack: ExitStack) -> subprocess.Popen[str]:
    python = options.torch_python if name in TORCH_SETS else sys.executable
    command = [str(python), "-m", "bench.music.child", name]
    command += [str(options.models), str(options.work), str(options.threads)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    stack.callback(process.kill)
    _timed(process)  # the first run allocates
    return process


def _timed(process: subprocess.Popen[str]) -> Json:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        sys.exit(f"a set's process ended with {process.wait()}")
    return cast("Json", json.loads(line))


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.music", description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--torch-python", type=Path, default=ROOT / ".venv-torch/bin/python")
    parser.add_argument("--out", type=Path, default=_OUT)
    options = parser.parse_args()
    options.models, options.work = options.models.resolve(), options.work.resolve()
    options.torch_python = options.torch_python.absolute()
    version = torch_of(options.torch_python)
    if version is None:
        print(
            f"{', '.join(TORCH_SETS)}: skipped, because {options.torch_python} has no PyTorch: "
            "`make env-torch`",
            file=sys.stderr,
        )
    names = [*({} if version is None else TORCH_SETS), *SETS]
    made = {name: [how] * len(STEMS) for name, how in TORCH_SETS.items()} | SETS
    content: Json = {
        "command": "python -m bench.music MODELS WORK",
        "host": as_json(describe_host()),
        "threads": options.threads,
        "music_s": SECONDS,
        "torch": version,
        "sets": {name: dict(zip(STEMS, made[name], strict=True)) for name in names},
        "skipped": [name for name in TORCH_SETS if name not in names],
        "rounds": [],
    }
    with ExitStack() as stack:
        processes = {name: _opened(name, options, stack) for name in names}
        for number in range(options.rounds):
            order = list(names)
            random.Random(number).shuffle(order)
            timed = {name: _timed(processes[name]) for name in order}
            content["rounds"].append({name: timed[name] for name in names})
            content["summary"] = summary(content["rounds"])
            write_text(options.out, json.dumps(content, indent=1, allow_nan=False) + "\n")
            said = (f"{name} {timed[name]['whole_s']:.1f} s" for name in names)
            print(f"round {number + 1}: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    _main()
