"""Time and peak memory of calibration, with few samples and with many.

    python -m bench.calibration coarse.onnx --frames 100 -o bench/results/calibration.json

Each case is a process of its own: the fused model on one random state (`session`), each observer
over so many states, and the whole of `int8-static`, from the file to the checked variant. Raw
figures; the prediction stands beside what was measured.
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

from calibration.feeds.feedset import FeedLabel, FeedSet
from calibration.ranges.collect import Terms, collect_channel_ranges
from calibration.ranges.memory import Prediction
from optimize.build import build_variant
from optimize.fusions.order import fuse
from optimize.precision.contract import traits_of
from optimize.precision.int8.static import StaticInt8
from optimize.recipes import INT8_STATIC
from profiles.measure.child import peak_rss_bytes
from vampnet_models.onnxfile.artifact import (
    load_model,
    open_artifact,
    save_model,
    weights_bytes,
    write_text,
)
from vampnet_models.onnxfile.session import Feeds, open_session
from vampnet_models.spec import Role, spec_of

_SESSION = "session"
_RECIPE = INT8_STATIC.name


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--frames", default=100, show_default=True)
@click.option("--samples", default="4,32", show_default=True)
@click.option("--cases", default=f"minmax,percentile,{_RECIPE}", show_default=True)
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), required=True)
def _main(model: Path, frames: int, samples: str, cases: str, out: Path) -> None:
    """Measure every case in a fresh process and add it to the results."""
    done: list[dict[str, Any]] = json.loads(out.read_text()) if out.is_file() else []
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".fused-") as folder:
        fused = Path(folder) / model.name
        source = load_model(model)
        fuse(source, INT8_STATIC.form.rules)
        save_model(source, fused)
        del source
        runs = [(_SESSION, 1, fused)]
        runs += [
            (case, int(n), model if case == _RECIPE else fused)
            for case in cases.split(",")
            for n in samples.split(",")
        ]
        for case, n, path in runs:
            command = [sys.executable, "-m", "bench.calibration", "--child", str(path), case]
            command += [str(n), str(frames)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            done.append({"model": model.stem, "frames": frames} | json.loads(answer))
            print(json.dumps(done[-1]), flush=True)
            write_text(out, json.dumps(done, indent=1) + "\n")


def _child(path: Path, case: str, n_samples: int, frames: int) -> dict[str, Any]:
    """One case, in this process."""
    rng = np.random.default_rng(0)
    feeds: list[Feeds] = [
        {
            "codes": rng.integers(0, 1024, (1, 4, frames)),
            "mask": (rng.random((1, 4, frames)) < 0.5).astype(np.int64),
        }
        for _ in range(n_samples)
    ]
    told: list[Prediction] = []
    terms = Terms(on_prediction=told.append)
    graph = load_model(path)
    n_bytes, traits = weights_bytes(graph), traits_of(spec_of(graph))
    axes = StaticInt8().plan(graph.graph, traits).ranges if case not in (_SESSION, _RECIPE) else {}
    del graph
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    if case == _SESSION:
        session = open_session(path)
        for feed in feeds:
            session.run(feed)
    elif case == _RECIPE:
        _build(path, feeds, terms)
    else:
        collect_channel_ranges(path, feeds, axes, case, terms=terms)
    return {
        "case": case,
        "samples": n_samples,
        "took_s": round(time.perf_counter() - started_s, 1),
        "cpu_s": round(time.process_time() - started_cpu_s, 1),
        "weights_bytes": n_bytes,
        "peak_rss_bytes": peak_rss_bytes(),
        "predicted_bytes": told[0].peak_bytes if told else None,
    }


def _build(path: Path, feeds: list[Feeds], terms: Terms) -> None:
    labels = tuple(FeedLabel(f"state {i}") for i in range(len(feeds)))
    given = FeedSet(Role.COARSE, tuple(feeds), labels, "random", "random")
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        out = Path(folder) / path.name
        build_variant(open_artifact(path), INT8_STATIC, out, calibration=given, terms=terms)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        path, case, n, length = sys.argv[2:]
        print(json.dumps(_child(Path(path), case, int(n), int(length))))
    else:
        _main()
