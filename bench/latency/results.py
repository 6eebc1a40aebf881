"""The record of `bench/latency/run.py`: raw samples in, ratios with their intervals out."""

from __future__ import annotations

import json
from pathlib import Path

from bench.latency.runners import BASELINE
from profiles.host import differences
from profiles.measure.stats import paired_ratio, percentile
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.records.generic import as_json, read
from vampnet_models.records.host import Host

_SCHEMA = 1
_MIN_PAIRS = 2
"""Rounds with both a runner and the baseline below which no ratio is told."""


def opened(path: Path, host: Host, threads: int) -> Json:
    """The record so far, or a new one.

    Raises InputError when it was taken on another host, or with another number of threads: such
    samples are not comparable.
    """
    if not path.is_file():
        return {"schema": _SCHEMA, "host": as_json(host), "threads": threads, "cases": {}}
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
        other = differences(host, read(Host, found["host"], str(path), "give another --out"))
        if found["threads"] != threads:
            other = (*other, f"threads: {found['threads']} then, {threads} now")
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: no readable latency record; remove it or give --out") from error
    if other:
        raise InputError(f"{path}: taken elsewhere ({'; '.join(other)}); give another --out")
    return found


def save(path: Path, record: Json) -> None:
    """Write the record with its summaries, atomically."""
    for case in record["cases"].values():
        case["summary"] = summary(case)
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")


def summary(case: Json) -> Json:
    """Per runner: median in seconds, ratio to the baseline of the same rounds, its interval.

    The samples of a runner are `{round: seconds}`. `speedup` is the inverse of the ratio of
    medians, `speedup_interval` its 95 % bootstrap interval over whole rounds.
    """
    reference = case["runners"].get(BASELINE, {}).get("samples_s", {})
    found = {}
    for name, runner in case["runners"].items():
        samples = runner["samples_s"]
        pairs = [number for number in samples if number in reference]
        row: Json = {"n_pairs": len(pairs)}
        if samples:
            row["median_s"] = percentile(list(samples.values()), 50)
        if len(pairs) >= _MIN_PAIRS and name != BASELINE:
            ratio = paired_ratio([reference[n] for n in pairs], [samples[n] for n in pairs])
            row["speedup"] = 1 / ratio.value
            row["speedup_interval"] = [1 / ratio.high, 1 / ratio.low]
        found[name] = row
    return found


def table(record: Json) -> str:
    """The record as Markdown: one row per case and runner, failures with their message."""
    host = record["host"]
    lines = [
        f"{host['cpu']}, {record['threads']} threads; baseline: ONNX Runtime FP32 of the raw "
        "export, all optimizations; medians of interleaved rounds, 95 % intervals.",
        "",
        "| model | input | runner | median | speed-up | 95 % interval | pairs | agreement |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for case in record["cases"].values():
        first = f"{case['model']} | {case['input']}"
        for name, runner in case["runners"].items():
            lines.append(f"| {first} | {_row(name, runner, case['summary'][name])} |")
            first = " | "
    return "\n".join(lines)


RIVALS = (
    ("int8-static-native", "openvino-nncf-int8"),
    ("int8-dynamic-native", "openvino-nncf-int8"),
    ("bf16-native", "openvino-bf16"),
)
"""Variants with the operator library, and what of OpenVINO computes in the same precision."""


def times_faster(case: Json, name: str, rival: str) -> tuple[float, float, float]:
    """How many times as fast as a rival in the same rounds, with its 95 % interval."""
    mine, theirs = (case["runners"][each]["samples_s"] for each in (name, rival))
    both = [number for number in theirs if number in mine]
    ratio = paired_ratio([theirs[n] for n in both], [mine[n] for n in both])
    return 1 / ratio.value, 1 / ratio.high, 1 / ratio.low


def rivals(record: Json) -> str:
    """As Markdown: variants with the library against OpenVINO, in the rounds of both."""
    heads = [f"`{name}` / {rival}" for name, rival in RIVALS]
    lines = [f"| model | input | {' | '.join(heads)} |", f"|---|---|{'---:|' * len(RIVALS)}"]
    for case in record["cases"].values():
        cells = [case["model"], case["input"]]
        for name, rival in RIVALS:
            value, low, high = times_faster(case, name, rival)
            cells.append(f"{value:.2f} x ({low:.2f} to {high:.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _row(name: str, runner: Json, row: Json) -> str:
    if runner["failure"]:
        return f"{name} | failed: {runner['failure'].replace('|', '/')} | | | | "
    # One round tells no ratio: of the baseline it is 1.
    speed, interval = "1" if name == BASELINE else "-", "-"
    if "speedup" in row:
        low, high = row["speedup_interval"]
        speed, interval = f"{row['speedup']:.2f} x", f"{low:.2f} to {high:.2f}"
    median = f"{row['median_s'] * 1e3:.1f} ms" if "median_s" in row else "-"
    return f"{name} | {median} | {speed} | {interval} | {row['n_pairs']} | {_same(runner)}"


def _same(runner: Json) -> str:
    agreement = runner["agreement"]
    if agreement is None:
        return "-"
    if agreement["unit"] == "dB":
        return f"{agreement['value']:.1f} dB"
    return f"{agreement['value']:.1%} of {agreement['n']:,}"
