"""`make bench`: every recipe of every built-in model, timed against the FP32 source.

Writes bench/results/recipes.json: the machine, and per model and recipe the raw samples. The
variants are those of a run (`--run`; the demo is done first where it is not there yet).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.printed import Printed
from profiles.host import describe_host
from profiles.measure.measure import measure
from profiles.measure.rounds import Plan
from profiles.place import cpu
from vampbench.work.job import Job, run_job
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import find_models, write_text
from vampnet_models.records.generic import as_json

_RESULTS = Path(__file__).resolve().parent / "results" / "recipes.json"
_SOURCE = "source"


def time_recipes(run: Path, plan: Plan, threads: int | None) -> dict[str, Any]:
    """Host facts and, per model, the record of its source and of each usable variant.

    `run` is a folder that `vampbench run` wrote. Raises InputError when it holds no results.
    """
    try:
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{run}: holds no readable results.json; run again") from error
    models = {}
    for model in results["models"]:
        paths = [(_SOURCE, run / model["path"])]
        paths += [(v["recipe"], run / v["path"]) for v in model["variants"] if v["path"]]
        feed = run / "work" / "feeds" / f"{model['name']}.npz"
        records = measure(paths, feed, cpu(threads), plan=plan)
        models[model["name"]] = as_json(records)
    return {"schema": 1, "host": as_json(describe_host()), "models": models}


def lines(timed: dict[str, Any]) -> list[str]:
    """One line per variant, for the terminal."""
    found = []
    for model, records in timed["models"].items():
        for name, record in records.items():
            if record["kind"] == "failed":
                found.append(f"{model:<14} {name:<13} failed: {record['reason']}")
                continue
            low, high = record["ratio_interval"] or (1.0, 1.0)
            noisy = ", noisy" if record["noisy"] else ""
            found.append(
                f"{model:<14} {name:<13} {record['median_s'] * 1e3:9.2f} ms  "
                f"{low:.2f} to {high:.2f} x  peak {record['peak_rss_bytes'] / 1e6:.0f} MB{noisy}"
            )
    return found


def _main() -> None:
    """Make the variants where they are missing, time them, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("out/demo"))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args()
    if not (chosen.run / "results.json").is_file():
        models = tuple(find_models(builtin_models(chosen.run)))
        run_job(Job(models, chosen.run, "make bench"), Printed())
    timed = time_recipes(
        chosen.run, Plan(rounds=chosen.rounds, cold=False, yardstick=False), chosen.threads
    )
    write_text(_RESULTS, json.dumps(timed, indent=1, allow_nan=False) + "\n")
    print("\n".join(lines(timed)))
    print(_RESULTS)


if __name__ == "__main__":
    _main()
