"""How much of the roofline bound whole models reach here: the factor of the phones' estimates.

    python -m bench.efficiency RUN_DIR [MODEL ...] [--set NAME] [--frames N] [--rounds N]

RUN_DIR is what `vampbench run` wrote. Each variant is measured at N frames, and its bound taken
from this machine's own peaks, measured in the same minute, by the same sum over nodes that the
estimates use. The least and the largest share are what `EFFICIENCY` in
profiles/targets/mobile.py should hold. Results are written after each model, beside those of
earlier calls; a noisy one is shown and not written: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from profiles.host import describe_host
from profiles.measure.rounds import Plan
from profiles.place import cpu
from profiles.profile import profile_variants
from profiles.report.views.read import read_results
from vampnet_models.errors import InputError
from vampnet_models.family import TYPICAL
from vampnet_models.onnxfile.artifact import open_artifact, write_text
from vampnet_models.records.generic import as_json
from vampnet_models.records.profiles import measured_on
from vampnet_models.records.results import Model
from vampnet_models.spec import Role

_OUT = Path(__file__).parent / "results" / "efficiency.json"
_RECIPES = ("fused", "int8-static", "int8-dynamic")
_FRAMES = 173
"""3 seconds."""


def _main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.efficiency")
    parser.add_argument("run", type=Path)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--set", default="built-in", help="what these models are called")
    parser.add_argument("--frames", type=int, default=_FRAMES)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    results = read_results(options.run)
    noisy = 0
    for model in results.models:
        if options.models and model.name not in options.models:
            continue
        rows = _measured(model, options.run, options.frames, options.rounds)
        for row in rows:
            said = " (noisy)" if row["noisy"] else ""
            print(f"{row['model']}/{row['recipe']}: {row['share']:.2f}{said}", flush=True)
        noisy += sum(row["noisy"] for row in rows)
        _write([{"set": options.set, **row} for row in rows if not row["noisy"]])
    if noisy:
        print(f"{noisy} measurements are noisy: run it on an idle machine")
    return 1 if noisy else 0


def _measured(model: Model, run: Path, frames: int, rounds: int) -> list[dict[str, Any]]:
    """The share of its bound that each variant of one model reaches."""
    source = open_artifact(run / (model.path or ""))
    variants = {"source": source.path} | {
        v.recipe: run / v.path for v in model.variants if v.recipe in _RECIPES and v.path
    }
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        feeds = Path(folder) / "feeds.npz"
        np.savez(feeds, allow_pickle=False, **_feeds(source.role, source.spec.inputs, frames))
        plan = Plan(rounds=rounds, cold=False)
        found = profile_variants(variants, feeds, (cpu(),), plan=plan, operators=True)
    rows = []
    for recipe, profiles in found.items():
        record = measured_on(profiles, "cpu")
        if record is None or record.roofline is None:
            raise InputError(f"{model.name}: {recipe}: could not be measured")
        roof = record.roofline
        rows.append(
            {
                "model": model.name,
                "recipe": recipe,
                "frames": frames,
                "bound_s": roof.per_node_s,
                "measured_s": roof.measured_s,
                "share": roof.per_node_s / roof.measured_s,
                "noisy": record.noisy,
                "peaks": as_json(record.peaks),
            }
        )
    return rows


def _write(rows: list[dict[str, Any]]) -> None:
    """Add the rows to those of earlier calls, the newer one of a variant in place of the older."""
    earlier = json.loads(_OUT.read_text())["rows"] if _OUT.is_file() else []
    both = {(row["set"], row["model"], row["recipe"]): row for row in [*earlier, *rows]}
    if not both:
        return
    shares = [row["share"] for row in both.values()]
    content = {
        "command": "python -m bench.efficiency RUN_DIR",
        "low": round(min(shares), 2),
        "high": round(max(shares), 2),
        "host": as_json(describe_host()),
        "rows": [both[key] for key in sorted(both)],
    }
    write_text(_OUT, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _feeds(role: Role, inputs: tuple, frames: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Noise of the inputs' kinds: times do not depend on the values."""
    rng = np.random.default_rng(0)
    found = {}
    for tensor in inputs:
        length = frames * TYPICAL.hop_samples if role is Role.CODEC_ENCODER else frames
        shape = (1, int(tensor.shape[1]), length)
        if tensor.dtype == "float32":
            found[tensor.name] = 0.1 * rng.standard_normal(shape, np.float32)
        else:
            top = 2 if tensor.name == "mask" else 1024
            found[tensor.name] = rng.integers(0, top, shape)
    return found


if __name__ == "__main__":
    sys.exit(_main())
