"""What is told of the rounds."""

from __future__ import annotations

from statistics import median

from bench.music.sets import BASELINE
from profiles.measure.stats import paired_ratio
from vampnet_models.cache import Json


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
