"""`make bench`: every recipe of every built-in model, timed against the FP32 source.

Writes bench/results/recipes.json, a file of profiles like those of `vampbench profile -o`. The
variants are those of a run (`--run`; the demo is done first where it is not there yet).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.printed import Printed
from profiles.host import describe_host
from profiles.measure.measure import measure
from profiles.measure.rounds import Plan
from profiles.place import cpu
from profiles.report.views.read import read_results
from vampbench.work.asked import Job
from vampbench.work.job import run_job
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.onnxfile.artifact import find_models
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import PROFILE
from vampnet_models.records.profiles import (
    Failure,
    Measurement,
    Profile,
    ProfiledModel,
    ProfiledVariant,
    ProfileFile,
)

_RESULTS = Path(__file__).resolve().parent / "results" / "recipes.json"
_SOURCE = "source"


def time_recipes(run: Path, plan: Plan, threads: int | None) -> ProfileFile:
    """Per model the times of its source and of each usable variant.

    `run` is a folder that `vampbench run` wrote. Raises InputError when it holds no results.
    """
    models = []
    for model in read_results(run).models:
        paths = [(_SOURCE, run / (model.path or ""))]
        paths += [(v.recipe, run / v.path) for v in model.variants if v.path]
        feed = run / "work" / "feeds" / f"{model.name}.npz"
        place = cpu(threads)
        timed = measure(paths, feed, place, plan=plan)
        variants = (ProfiledVariant(name, {place.name: found}) for name, found in timed.items())
        models.append(ProfiledModel(model.name, tuple(variants)))
    return ProfileFile(describe_host(), tuple(models))


def lines(timed: ProfileFile) -> list[str]:
    """One line per variant, for the terminal."""
    return [
        f"{model.name:<14} {variant.recipe:<13} {_line(found)}"
        for model in timed.models
        for variant in model.variants
        for found in variant.profiles.values()
    ]


def _line(found: Profile) -> str:
    if not isinstance(found, Measurement):
        return f"failed: {found.reason if isinstance(found, Failure) else found.kind}"
    low, high = found.ratio_interval or (1.0, 1.0)
    return (
        f"{found.median_s * 1e3:9.2f} ms  {low:.2f} to {high:.2f} x  "
        f"peak {(found.peak_rss_bytes or 0) / 1e6:.0f} MB{', noisy' if found.noisy else ''}"
    )


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
    write_record(timed, PROFILE, _RESULTS)
    print("\n".join(lines(timed)))
    print(_RESULTS)


if __name__ == "__main__":
    _main()
