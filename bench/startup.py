"""What a start costs: CPU seconds of calls that do little work, and of importing the API.

    python -m bench.startup [MODEL] [--rounds N]

Each call is a process of its own, N times in turn; told is the median of user and system seconds.
What is waited for on a busy machine is not in it. MODEL is what `inspect` looks at: the built-in
coarse model unless another is named.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import ROOT
from vampnet_models.chain.builtin import builtin_models

_COMMAND = "from vampbench.cli.main import main; main()"


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.startup")
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or builtin_models(Path(folder)) / "coarse.onnx"
        calls = {
            "python": ("pass",),
            "import vampbench": ("import vampbench",),
            "vampbench --version": (_COMMAND, "--version"),
            "vampbench --help": (_COMMAND, "--help"),
            "vampbench fp16 --help": (_COMMAND, "fp16", "--help"),
            f"vampbench inspect {model.name}": (_COMMAND, "inspect", str(model)),
        }
        rounds = [
            {name: _cpu_s(words) for name, words in calls.items()} for _ in range(options.rounds)
        ]
    for name in calls:
        print(f"{median(each[name] for each in rounds):.2f} s  {name}")


def _cpu_s(words: tuple[str, ...]) -> float:
    """Of one process, with its imports. Raises CalledProcessError where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", *words]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    _main()
