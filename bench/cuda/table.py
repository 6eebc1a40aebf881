"""The record as Markdown: speed, where nodes ran, and what variants cost."""

from __future__ import annotations

from bench.cuda.setting import BASELINE
from vampnet_models.cache import Json
from vampnet_models.text import percent, signed

_NONE = "-"


def table(record: Json) -> str:
    """A row per model and variant of each step that has a result."""
    results = {name: kept["result"] for name, kept in record["steps"].items() if "result" in kept}
    lines = [_about(record)]
    if "speed" in results:
        lines += _speed(results["speed"], results.get("variants", {}).get("frames", {}))
    if "placement" in results:
        lines += _placement(results["placement"]["models"])
    if "tokens" in results:
        lines += _tokens(results["tokens"])
    return "\n".join(lines)


def _about(record: Json) -> str:
    device = record["device"].get("name") or record["host"]["cpu"]
    what = f"{device}, {record['setting']['provider']}, {record['setting']['rounds']} rounds"
    return f"{what}: a trial of the script, no result." if record["is_trial"] else f"{what}."


def _speed(models: Json, frames: Json) -> list[str]:
    lines = [
        "",
        "| model | input | row | median | speed-up | 95 % interval |",
        "|---|---|---|---:|---:|---:|",
    ]
    for model, rows in models.items():
        for name, row in rows.items():
            first = f"| {model} | {frames.get(model, _NONE)} frames | {name}"
            if "failed" in row:
                lines.append(f"{first} | {_failed(row)} | | |")
                continue
            speed, interval = ("1", _NONE) if name == BASELINE else (_NONE, _NONE)
            if "speedup" in row:
                low, high = row["speedup_interval"]
                speed, interval = f"{row['speedup']:.2f} x", f"{low:.2f} to {high:.2f}"
            noisy = " (noisy)" if row["noisy"] else ""
            median = f"{row['median_s'] * 1e3:.2f} ms{noisy}"
            lines.append(f"{first} | {median} | {speed} | {interval} |")
    return lines


def _placement(models: Json) -> list[str]:
    lines = ["", "| model | row | nodes | elsewhere | attention |", "|---|---|---|---|---|"]
    for model, rows in models.items():
        for name, row in rows.items():
            if "failed" in row:
                lines.append(f"| {model} | {name} | {_failed(row)} | | |")
                continue
            nodes = ", ".join(f"{n} {provider}" for provider, n in row["nodes"].items())
            others = ", ".join(f"{len(each)} {op}" for op, each in row["elsewhere"].items())
            kernels = ", ".join(row["attention_kernels"])
            fused = ", ".join(f"{sum(n.values())} {op}" for op, n in row["attention"].items())
            attention = f"{fused} ({kernels})" if kernels else fused
            cells = (model, name, nodes, others or _NONE, attention or _NONE)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _tokens(models: Json) -> list[str]:
    lines = [
        "",
        "| model | row | token agreement | sampled agreement | cost | grades |",
        "|---|---|---:|---:|---:|---|",
    ]
    for model, rows in models.items():
        for name, row in rows.items():
            if "failed" in row:
                lines.append(f"| {model} | {name} | {_failed(row)} | | | |")
                continue
            found = row["accuracy"]
            sampled = found["sampled_agreement"] or {}
            cells = (
                *(model, name, percent(found["token_agreement"]), percent(sampled.get("value"))),
                *(_cost(found), ", ".join(row["grades"]) or _NONE),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cost(accuracy: Json) -> str:
    for key, unit in (("cost_nats", "nats"), ("cost_log_mel_db", "dB")):
        found = accuracy[key]
        if found is not None and found["value"] is not None:
            ends = f"{signed(found['low'])} to {signed(found['high'])}"
            return f"{signed(found['value'])} ({ends}) {unit}"
    return _NONE


def _failed(row: Json) -> str:
    return f"failed: {row['failed'].replace('|', '/')}"
