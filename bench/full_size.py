"""What every recipe weighs at full size, and the memory of making it.

    python -m bench.full_size MODELS_DIR [--only MODEL ...] [--recipes RECIPE ...]

MODELS_DIR is what `vampbench synth --preset vampnet` wrote. Each variant is made in a process of
its own, whose peak resident set is noted, then measured and removed: the disk holds one at a
time. Opening it in the runtime is left out. Those that are calibrated run the model on a few
states of codes from the built-in encoder: their peak is that of the runtime. Written after each
variant, beside those of earlier calls: bench/results/full_size.json, and the bytes alone as
profiles/full_size.json, which the report reads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench import ROOT
from bench.printed import Printed
from calibration.feeds.chain_feeds import FeedSizes
from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.feedset import load_feed_set
from calibration.feeds.model_feeds import CALIBRATION, side_feeds
from calibration.feeds.source import Source
from optimize.build import build_variant
from optimize.recipe_settings import weights_recipe
from optimize.recipes import ALL_RECIPES
from profiles.full_size import SOURCE, TABLE
from profiles.host import describe_host
from profiles.measure.child import peak_rss_bytes
from vampnet_models.cache import Json
from vampnet_models.errors import InputError, NotApplicable
from vampnet_models.onnxfile.artifact import Artifact, find_models, open_artifact, write_text
from vampnet_models.records.generic import as_json

RECORD = ROOT / "bench" / "results" / "full_size.json"
_FEW = FeedSizes(clips=1, coarse_states=4, c2f_states=4, max_frames=100)
"""Ranges of other values take as many bytes."""

_RECIPES = {r.name: r for r in (*ALL_RECIPES, weights_recipe("4", "32", "gptq", "float"))}


def made(source: Path, recipe: str, feeds: Path, folder: Path) -> Json:
    """One variant, made in this process below `folder`: bytes, seconds, peak bytes of memory.

    `not_applicable` says in its place why a recipe has nothing to do with the model.
    """
    chosen = _RECIPES[recipe]
    given = load_feed_set(feeds) if chosen.needs_calibration else None
    start = time.perf_counter()
    try:
        variant = build_variant(
            open_artifact(source),
            chosen,
            folder / source.name,
            calibration=given,
            check_load=False,
        )
    except NotApplicable as reason:
        return {"not_applicable": str(reason)}
    return {
        "bytes": variant.record.bytes,
        "seconds": round(time.perf_counter() - start, 1),
        "peak_rss_bytes": peak_rss_bytes(),
        "calibrated": chosen.needs_calibration,
    }


def rows(artifact: Artifact, recipes: Sequence[str], feeds: Path, scratch: Path) -> Iterator[Json]:
    """The source, then each recipe, in a process of its own. Raises InputError where one fails."""
    names = {"model": artifact.name, "role": artifact.role.value}
    yield {**names, "recipe": SOURCE, "bytes": artifact.bytes}
    for recipe in recipes:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            command = [sys.executable, "-m", "bench.full_size", "--child"]
            command += [str(each) for each in (artifact.path, recipe, feeds, folder)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise InputError(f"{artifact.name}: {recipe}: {said[-1]}")
        yield {**names, "recipe": recipe, **json.loads(done.stdout.strip().splitlines()[-1])}


def keep(row: Json, record: Path, table: Path) -> None:
    """Add a row to the record in place of an earlier one, and write the table of it anew."""
    kept = json.loads(record.read_text(encoding="utf-8"))["rows"] if record.is_file() else []
    both = {(each["model"], each["recipe"]): each for each in [*kept, row]}
    content = {"host": as_json(describe_host()), "rows": list(both.values())}
    write_text(record, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(table, json.dumps(bytes_by_role(content), indent=1) + "\n")


def bytes_by_role(content: Json) -> dict[str, dict[str, int]]:
    """Role -> recipe -> bytes of what was written."""
    found: dict[str, dict[str, int]] = {}
    for row in content["rows"]:
        if "bytes" in row:
            found.setdefault(row["role"], {})[row["recipe"]] = row["bytes"]
    return found


def _main() -> None:
    """Make, measure and remove every variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path)
    parser.add_argument("--only", nargs="+", help="models by name")
    parser.add_argument("--recipes", nargs="+", choices=list(_RECIPES), default=list(_RECIPES))
    chosen = parser.parse_args()
    reporter, side = Printed(), replace(CALIBRATION, large_sizes=_FEW, sizes=_FEW)
    artifacts = [open_artifact(path) for path in find_models(chosen.models)]
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        work = Path(folder)
        # Of no chain: the full-size encoder and transformers would take minutes for the feeds.
        inputs = prepare_inputs([], Source(), work, 0, reporter, artifacts)
        for artifact in artifacts:
            if chosen.only and artifact.name not in chosen.only:
                continue
            feeds = work / f"{artifact.name}.npz"
            side_feeds(artifact, inputs, side, 0, reporter).save_npz(feeds)
            for row in rows(artifact, chosen.recipes, feeds, work):
                keep(row, RECORD, TABLE)
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        path, recipe, feeds, folder = sys.argv[2:]
        print(json.dumps(made(Path(path), recipe, Path(feeds), Path(folder))))
    else:
        _main()
