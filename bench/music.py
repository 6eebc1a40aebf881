"""Seconds per 10 s of music: the whole chain, sampler included, in sets of full-size variants.

    python -m bench.music MODELS WORK [--rounds N]

MODELS is what `vampbench synth --preset vampnet` wrote, WORK what `python -m bench.latency.run
MODELS --work WORK --prepare` made of it (codecs too). Every set is open in a process of its own;
each round lets all of them vary the same 10 s with the same seed, in an order drawn anew. Written
after each round: bench/results/music.json.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

from bench import ROOT
from calibration.audio.samples import builtin_audio_set
from optimize.truth.swap import PERIOD_FRAMES
from profiles.host import available_cores, describe_host
from profiles.measure.stats import paired_ratio
from vampnet_models.cache import Json
from vampnet_models.chain.pipeline import Chain, vamp
from vampnet_models.chain.tokens import periodic_mask
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.onnxfile.session import Array, Feeds, Session, open_session
from vampnet_models.records.generic import as_json

_OUT = Path(__file__).parent / "results" / "music.json"
_SECONDS, _RATE_HZ = 10, 44_100

SETS = {
    "ort-fp32": ("", "", "", ""),
    "portable": ("fused", "int8-dynamic", "int8-dynamic", "int8-static"),
    "native": ("fused-native", "int8-dynamic-native", "int8-dynamic-native", "int8-static-native"),
    "native bf16": ("fused-native", "bf16-native", "bf16-native", "fused-native"),
}
"""By name, the recipes of encoder, coarse, c2f and decoder; without one, the raw export."""

BASELINE = "ort-fp32"
_STEMS = ("codec_encoder", "coarse", "c2f", "codec_decoder")


class _Watched(Session):
    """A session that counts the seconds in its model."""

    spent_s = 0.0

    def run(self, feeds: Mapping[str, Array], outputs: Any = None) -> Feeds:
        """As a session's."""
        start_s = time.perf_counter()
        found = super().run(feeds, outputs)
        self.spent_s += time.perf_counter() - start_s
        return found


def paths_of(name: str, models: Path, work: Path) -> list[Path]:
    """The four models of a set."""
    return [
        work / f"{stem}.{recipe}.onnx" if recipe else models / f"{stem}.onnx"
        for stem, recipe in zip(_STEMS, SETS[name], strict=True)
    ]


def serve(paths: list[Path], threads: int) -> None:
    """Vary the clip once for each line that comes in; the seconds of each part go out."""
    raw = [open_session(path, threads=threads, portable_instead=False) for path in paths]
    sessions = [_Watched(each.raw, each.name) for each in raw]
    clip = builtin_audio_set().evaluation[0].samples
    samples = np.resize(clip, _SECONDS * _RATE_HZ)
    encoder, coarse, c2f, decoder = sessions
    for _ in sys.stdin:
        for each in sessions:
            each.spent_s = 0.0
        start_s = time.perf_counter()
        vamp(Chain(encoder, coarse, c2f, decoder), samples, _mask)
        whole_s = time.perf_counter() - start_s
        spent = {stem: each.spent_s for stem, each in zip(_STEMS, sessions, strict=True)}
        row = {"whole_s": whole_s, "sampler_s": whole_s - sum(spent.values()), **spent}
        print(json.dumps(row), flush=True)


def _mask(shape: tuple[int, ...]) -> Array:
    return periodic_mask(shape, PERIOD_FRAMES)


def summary(rounds: list[Json]) -> Json:
    """Per set: median seconds and the sampler's share, and how many times FP32's speed."""
    found: Json = {}
    for name in rounds[0]:
        rows = [each[name] for each in rounds]
        whole = [row["whole_s"] for row in rows]
        entry: Json = {
            "median_s": median(whole),
            "sampler_share": median(row["sampler_s"] / row["whole_s"] for row in rows),
        }
        if name != BASELINE and len(rounds) > 1:
            ratio = paired_ratio([each[BASELINE]["whole_s"] for each in rounds], whole)
            entry["speedup"] = 1 / ratio.value
            entry["speedup_interval"] = [1 / ratio.high, 1 / ratio.low]
        found[name] = entry
    return found


def table(record: Json) -> str:
    """The record as Markdown: a row per set."""
    rounds = len(record["rounds"])
    lines = [
        f"{record['host']['cpu']}, {record['threads']} threads; {rounds} interleaved rounds of "
        f"{record['music_s']} s of music, 95 % intervals. In brackets: encoder, coarse, c2f and "
        "decoder.",
        "",
        "| set | median | speed-up | 95 % interval | sampler's share |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, found in record["summary"].items():
        recipes = [each or "FP32" for each in record["sets"][name].values()]
        parts = "" if len(set(recipes)) == 1 else f" ({', '.join(recipes)})"
        speed, interval = "1", "-"
        if "speedup" in found:
            low, high = found["speedup_interval"]
            speed, interval = f"{found['speedup']:.2f} x", f"{low:.2f} to {high:.2f}"
        lines.append(
            f"| {name}{parts} | {found['median_s']:.1f} s | {speed} | {interval} | "
            f"{found['sampler_share']:.1%} |"
        )
    return "\n".join(lines)


def _opened(name: str, options: argparse.Namespace, stack: ExitStack) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.music", str(options.models), str(options.work)]
    command += ["--serve", name, "--threads", str(options.threads)]
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
    parser.add_argument("--out", type=Path, default=_OUT)
    parser.add_argument("--serve", choices=tuple(SETS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.models, options.work = options.models.resolve(), options.work.resolve()
    if options.serve:
        serve(paths_of(options.serve, options.models, options.work), options.threads)
        return
    content: Json = {
        "command": "python -m bench.music MODELS WORK",
        "host": as_json(describe_host()),
        "threads": options.threads,
        "music_s": _SECONDS,
        "sets": {name: dict(zip(_STEMS, recipes, strict=True)) for name, recipes in SETS.items()},
        "rounds": [],
    }
    with ExitStack() as stack:
        processes = {name: _opened(name, options, stack) for name in SETS}
        for number in range(options.rounds):
            order = list(SETS)
            random.Random(number).shuffle(order)
            timed = {name: _timed(processes[name]) for name in order}
            content["rounds"].append({name: timed[name] for name in SETS})
            content["summary"] = summary(content["rounds"])
            write_text(options.out, json.dumps(content, indent=1, allow_nan=False) + "\n")
            said = (f"{name} {timed[name]['whole_s']:.1f} s" for name in SETS)
            print(f"round {number + 1}: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    _main()
