"""What is told of the rounds."""

from __future__ import annotations

from statistics import median

from bench.music.sets import BASELINE, PYTORCH, SETS
from profiles.measure.stats import paired_ratio
from vampnet_models.cache import Json

GOAL = 6.0
"""How many times PyTorch eager's speed a set of ours is to have."""

_REFERENCES = {"speedup": BASELINE, "over_pytorch": PYTORCH}


def summary(rounds: list[Json]) -> Json:
    """Per set: median seconds and the sampler's share, and how many times the speed of others.

    `speedup` is over ONNX Runtime's FP32, `over_pytorch` over PyTorch eager where that was timed.
    """
    found: Json = {}
    for name in rounds[0]:
        rows = [each[name] for each in rounds]
        whole = [row["whole_s"] for row in rows]
        entry: Json = {
            "median_s": median(whole),
            "sampler_share": median(row["sampler_s"] / row["whole_s"] for row in rows),
        }
        for key, reference in _REFERENCES.items():
            if name != reference and reference in rounds[0] and len(rounds) > 1:
                ratio = paired_ratio([each[reference]["whole_s"] for each in rounds], whole)
                entry[key] = 1 / ratio.value
                entry[f"{key}_interval"] = [1 / ratio.high, 1 / ratio.low]
        found[name] = entry
    return found


def table(record: Json) -> str:
    """The record as Markdown: a row per set, over PyTorch too where that was timed."""
    rounds, found = len(record["rounds"]), record["summary"]
    heads, keys = "| set | median | speed-up | 95 % interval |", ["speedup"]
    if PYTORCH in found:
        heads, keys = f"{heads} over PyTorch | 95 % interval |", list(_REFERENCES)
    lines = [
        f"{record['host']['cpu']}, {record['threads']} threads; {rounds} interleaved rounds of "
        f"{record['music_s']} s of music, 95 % intervals. In brackets: encoder, coarse, c2f and "
        "decoder.",
        "",
        f"{heads} sampler's share |",
        f"|---|{'---:|' * (2 + 2 * len(keys))}",
    ]
    for name, row in found.items():
        recipes = [each or "FP32" for each in record["sets"][name].values()]
        parts = "" if len(set(recipes)) == 1 else f" ({', '.join(recipes)})"
        cells = [f"{name}{parts}", f"{row['median_s']:.1f} s"]
        for key in keys:
            cells += _speed(row, key) if key in row else (_of_itself(name, key), "-")
        lines.append(f"| {' | '.join(cells)} | {row['sampler_share']:.1%} |")
    return "\n".join([*lines, *_goal(record)])


def _of_itself(name: str, key: str) -> str:
    return "1" if name == _REFERENCES[key] else "-"


def _speed(row: Json, key: str) -> tuple[str, str]:
    low, high = row[f"{key}_interval"]
    return f"{row[key]:.2f} x", f"{low:.2f} to {high:.2f}"


def _goal(record: Json) -> list[str]:
    """What is said below the table of PyTorch: the goal, or that it was skipped."""
    ours = {n: row for n, row in record["summary"].items() if n in SETS and "over_pytorch" in row}
    if not ours:
        skipped = record.get("skipped")
        return ["", f"Skipped, for want of PyTorch: {', '.join(skipped)}."] if skipped else []
    name = max(ours, key=lambda each: float(ours[each]["over_pytorch"]))
    low, high = ours[name]["over_pytorch_interval"]
    told = "reached" if low >= GOAL else "missed" if high < GOAL else "neither reached nor missed"
    speed, interval = _speed(ours[name], "over_pytorch")
    return [
        "",
        f"The goal, {GOAL:g} x the speed of PyTorch {record['torch']} eager, is {told}: "
        f"`{name}` has {speed} ({interval}).",
    ]
