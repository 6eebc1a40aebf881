"""Peak memory of calibration against the FP32 session alone, with few samples and with many.

    python -m bench.calibration coarse.onnx --frames 100 -o bench/results/calibration.json

Each case is a process of its own: the fused model on one random state (`session`), then each
observer over so many states. Raw figures; the prediction stands beside what was measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from calibration.collect import Terms, collect_channel_ranges
from calibration.memory import Prediction
from optimize.fuse import fuse
from optimize.precision import int8_static
from optimize.recipes import INT8_STATIC
from profiles.child import peak_rss_bytes
from vampnet_models.artifact import load_model, save_model, weights_bytes, write_text
from vampnet_models.session import Feeds, open_session

SESSION = "session"


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--frames", default=100, show_default=True)
@click.option("--samples", default="4,32", show_default=True)
@click.option("--observers", default="minmax,percentile", show_default=True)
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), required=True)
def main(model: Path, frames: int, samples: str, observers: str, out: Path) -> None:
    """Measure every case in a fresh process and add it to the results."""
    done: list[dict[str, Any]] = json.loads(out.read_text()) if out.is_file() else []
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".fused-") as folder:
        fused = Path(folder) / model.name
        source = load_model(model)
        fuse(source, INT8_STATIC.rules)
        save_model(source, fused)
        del source
        cases = [(SESSION, 1)]
        cases += [(o, int(n)) for o in observers.split(",") for n in samples.split(",")]
        for case, n in cases:
            command = [sys.executable, "-m", "bench.calibration", "--child", str(fused), case]
            command += [str(n), str(frames)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            done.append({"model": model.stem, "frames": frames} | json.loads(answer))
            print(json.dumps(done[-1]), flush=True)
            write_text(out, json.dumps(done, indent=1) + "\n")


def child(fused: Path, case: str, n_samples: int, frames: int) -> dict[str, Any]:
    """One case, in this process."""
    rng = np.random.default_rng(0)
    feeds: list[Feeds] = [
        {
            "codes": rng.integers(0, 1024, (1, 4, frames)),
            "mask": (rng.random((1, 4, frames)) < 0.5).astype(np.int64),
        }
        for _ in range(n_samples)
    ]
    graph = load_model(fused)
    n_bytes, axes = weights_bytes(graph), int8_static.tensors_to_observe(graph.graph)
    del graph
    told: list[Prediction] = []
    started_s = time.perf_counter()
    if case == SESSION:
        session = open_session(fused)
        for feed in feeds:
            session.run(feed)
    else:
        terms = Terms(on_prediction=told.append)
        collect_channel_ranges(fused, feeds, axes, case, terms=terms)
    return {
        "case": case,
        "samples": n_samples,
        "took_s": round(time.perf_counter() - started_s, 1),
        "weights_bytes": n_bytes,
        "peak_rss_bytes": peak_rss_bytes(),
        "predicted_bytes": told[0].peak_bytes if told else None,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        path, case, n, length = sys.argv[2:]
        print(json.dumps(child(Path(path), case, int(n), int(length))))
    else:
        main()
