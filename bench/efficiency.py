"""How much of the roofline bound whole models reach here: the factor of the phones' estimates.

    python -m bench.efficiency RUN_DIR [--rounds N]

RUN_DIR is what `vampbench run` wrote. Each variant is measured at 173 frames, and its bound taken
from this machine's own peaks, measured in the same minute, by the same sum over nodes that the
estimates use. The least and the largest share are what `EFFICIENCY` in profiles/mobile.py should
hold. A noisy run is shown and not written: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from profiles.host import describe_host
from profiles.profile import profile_variants
from profiles.rounds import Plan
from profiles.targets import cpu
from vampnet_models.artifact import open_artifact, write_text
from vampnet_models.spec import HOP_SAMPLES, Role

OUT = Path(__file__).parent / "results" / "efficiency.json"
RECIPES = ("int8-static", "int8-dynamic")
FRAMES = 173


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.efficiency")
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    results = json.loads((options.run / "results.json").read_text())
    rows = []
    for model in results["models"]:
        source = open_artifact(Path(model["path"]))
        variants = {"source": source.path} | {
            v["recipe"]: options.run / v["path"]
            for v in model["variants"]
            if v["recipe"] in RECIPES and v["path"]
        }
        with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
            feeds = Path(folder) / "feeds.npz"
            np.savez(feeds, allow_pickle=False, **_feeds(source.role, source.spec.inputs))
            plan = Plan(rounds=options.rounds)
            found = profile_variants(variants, feeds, (cpu(),), plan=plan, operators=True)
        for recipe, targets in found.items():
            record = targets["cpu"]
            roof = record["roofline"]
            share = roof["per_node_s"] / roof["measured_s"]
            rows.append(
                {
                    "model": model["name"],
                    "recipe": recipe,
                    "bound_s": roof["per_node_s"],
                    "measured_s": roof["measured_s"],
                    "share": share,
                    "noisy": record["noisy"],
                    "peaks": record["peaks"],
                }
            )
            print(f"{model['name']}/{recipe}: {share:.2f}", flush=True)
    noisy = sum(row["noisy"] for row in rows)
    if noisy:
        print(f"{noisy} of {len(rows)} measurements are noisy: run it on an idle machine")
        return 1
    shares = sorted(row["share"] for row in rows)
    content = {
        "command": "python -m bench.efficiency RUN_DIR",
        "low": round(shares[0], 2),
        "high": round(min(1.0, shares[-1]), 2),
        "frames": FRAMES,
        "host": describe_host().as_json(),
        "rows": rows,
    }
    write_text(OUT, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return 0


def _feeds(role: Role, inputs: tuple) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Noise of the inputs' kinds: times do not depend on the values."""
    rng = np.random.default_rng(0)
    found = {}
    for tensor in inputs:
        length = FRAMES * HOP_SAMPLES if role is Role.CODEC_ENCODER else FRAMES
        shape = (1, int(tensor.shape[1]), length)
        if tensor.dtype == "float32":
            found[tensor.name] = 0.1 * rng.standard_normal(shape, np.float32)
        else:
            top = 2 if tensor.name == "mask" else 1024
            found[tensor.name] = rng.integers(0, top, shape)
    return found


if __name__ == "__main__":
    sys.exit(main())
