"""Write README's figures and sessions anew: `python docs/update.py --demo RESULTS_JSON`.

What is quoted of a run is kept in docs/*-results.json; README's parts between markers are made of
those files alone. Commands in console blocks are run and their output written below
them; `make` lines stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.accuracy_table import tables
from bench.latency_results import table
from docs.cells import ACCURACY, Json, clear, count, same, size, time
from docs.tuned import searches, trimmed_search
from workbench.console import percent

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
RUNS = ("demo", "recordings", "full-size")
KEPT = (*RUNS, "tune", "accuracy", "accuracy-full")
LATENCY = DOCS.parent / "bench" / "results" / "latency.json"
BENCH_RECORDS = {
    "accuracy": LATENCY.with_name("accuracy.json"),
    "accuracy-full": LATENCY.with_name("accuracy_full.json"),
}
"""Written by `python -m bench.accuracy --out` itself."""


def trimmed(results: Json) -> Json:
    """What README quotes of a results.json: no paths, no raw samples."""
    host = results["host"]
    return {
        "created": results["created"],
        "took_s": round(sum(step["took_s"] for step in results["steps"])),
        "host": {key: host[key] for key in ("cpu", "cores", "os", "python", "versions")},
        "audio_set": {
            key: results["audio_set"][key] for key in ("name", "calibration_s", "evaluation_s")
        },
        "source_bytes": results["source_bytes"],
        "models": [_model(model) for model in results["models"]],
        "totals": results["totals"],
        "sets": results["sets"],
    }


def _model(model: Json) -> Json:
    return {
        "name": model["name"],
        "role": model["role"],
        "weights": model["weights"],
        "source_bytes": model["source_bytes"],
        "cpu": _cpu(model),
        "variants": [
            {
                "recipe": variant["recipe"],
                "status": variant["status"],
                "bytes": variant["bytes"],
                "accuracy": {key: (variant["accuracy"] or {}).get(key) for key in ACCURACY},
                "cpu": _cpu(variant),
            }
            for variant in model["variants"]
        ],
    }


def _cpu(of: Json) -> Json | None:
    found = of["profiles"].get("cpu") or {}
    if found.get("kind") != "measurement":
        return None
    keys = ("median_s", "ratio_to_reference", "ratio_interval", "verdict", "noisy", "threads")
    return {key: found[key] for key in keys}


def figures(quoted: Json) -> str:
    """README's part between the markers, as Markdown."""
    versions = quoted["host"]["versions"]
    weights = ", ".join(sorted({model["weights"] for model in quoted["models"]}))
    lines = [
        f"`make demo` on {quoted['host']['cpu']}, {quoted['host']['cores']} cores, "
        f"onnxruntime {versions['onnxruntime']}, {quoted['created']}: "
        f"{quoted['took_s'] / 60:.1f} minutes. Weights: {weights}.",
        "",
        "| model | recipe | status | size | says the same | compared | CPU median |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for model in quoted["models"]:
        lines.append(
            f"| {model['name']} | source | | {size(model['source_bytes'])} | | | "
            f"{time(model['cpu'])} |"
        )
        for variant in model["variants"]:
            lines.append(
                f"| | {variant['recipe']} | {variant['status']} | {size(variant['bytes'])} | "
                f"{same(variant['accuracy'])} | {count(variant['accuracy'])} | "
                f"{time(variant['cpu'])} |"
            )
    lines += ["", "| together | size | of the source |", "|---|---:|---:|"]
    totals = [("source (FP32)", quoted["source_bytes"]), *quoted["totals"].items()]
    totals += [(mixed["name"], mixed["bytes"]) for mixed in quoted["sets"]]
    lines += [f"| {name} | {size(n)} | {n / quoted['source_bytes']:.0%} |" for name, n in totals]
    return "\n".join(lines)


def recordings(quoted: Json, demo: Json) -> str:
    """Agreement on the synthesised clips beside that on real recordings, as Markdown."""
    lines = [
        "| model | recipe | built-in clips | without near-ties | real recordings | "
        "without near-ties |",
        "|---|---|---:|---:|---:|---:|",
    ]
    pairs = zip(demo["models"], quoted["models"], strict=True)
    for model, (one, two) in ((one["name"], (one, two)) for one, two in pairs):
        for a, b in zip(one["variants"], two["variants"], strict=True):
            if a["recipe"] != "fused":
                sides = (a["accuracy"], b["accuracy"])
                cells = " | ".join(f"{same(side)} | {clear(side)}" for side in sides)
                lines.append(f"| {model} | {a['recipe']} | {cells} |")
    return "\n".join(lines)


def codebooks(quoted: Json) -> str:
    """Agreement per codebook with its interval, and the floor, of every recipe, as Markdown."""
    parts = []
    for model in quoted["models"]:
        made = [v for v in model["variants"] if v["accuracy"]["per_codebook"]]
        if not made:
            continue
        names = [v["recipe"] for v in made]
        lines = [
            f"| {model['name']}, codebook | floor | {' | '.join(names)} |",
            "|---|---:|" + "---:|" * len(names),
        ]
        rows = [{book["codebook"]: book for book in v["accuracy"]["per_codebook"]} for v in made]
        for number in rows[0]:
            cells = " | ".join(_share(row[number]) for row in rows)
            lines.append(f"| {number} | {percent(rows[0][number]['floor'])} | {cells} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _share(book: Json) -> str:
    low, high = book["interval"]
    return f"{book['agreement']:.1%} ({low:.1%} to {high:.1%})"


def fullsize(quoted: Json) -> str:
    """Sizes, agreement and time of the full-size set, as Markdown."""
    lines = [
        "| model | recipe | size | of FP32 | says the same | compared | time to FP32 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for model in quoted["models"]:
        for variant in model["variants"]:
            share = f"{variant['bytes'] / model['source_bytes']:.0%}" if variant["bytes"] else "-"
            ratio = variant["cpu"]["ratio_to_reference"] if variant["cpu"] else None
            lines.append(
                f"| {model['name']} | {variant['recipe']} | {size(variant['bytes'])} | {share} | "
                f"{same(variant['accuracy'])} | {count(variant['accuracy'])} | "
                f"{f'{ratio:.2f} x' if ratio else '-'} |"
            )
    lines += ["", "| together | size |", "|---|---:|"]
    totals = [("source (FP32)", quoted["source_bytes"]), *quoted["totals"].items()]
    totals += [(mixed["name"], mixed["bytes"]) for mixed in quoted["sets"]]
    lines += [f"| {name} | {size(n)} |" for name, n in totals]
    return "\n".join(lines)


def kept(run: str) -> Json:
    """What is quoted of a run."""
    path = BENCH_RECORDS.get(run, DOCS / f"{run}-results.json")
    found: Json = json.loads(path.read_text(encoding="utf-8"))
    return found


def with_figures(readme: str, runs: dict[str, Json]) -> str:
    """README's text with its figures anew. Raises ValueError when a marker is missing."""
    parts = {
        "demo": figures(runs["demo"]),
        "recordings": recordings(runs["recordings"], runs["demo"]),
        "codebooks": codebooks(runs["recordings"]),
        "full-size": fullsize(runs["full-size"]),
        "tune": searches(runs["tune"]["searches"]),
        "accuracy": tables(runs["accuracy"], runs["accuracy-full"]),
    }
    for name, part in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = readme.partition(begin)
        _, marker, after = rest.partition(end)
        if not marker:
            raise ValueError(f"README has no {begin} ... {end}")
        readme = f"{before}{begin}\n{part}\n{end}{after}"
    return readme


def with_latency(readme: str, record: Json | None) -> str:
    """README's text with the table of `bench/latency.py` between its markers.

    A README without the markers stays as it is; ValueError when it has them and there is no record.
    """
    begin, end = "<!-- latency: begin -->", "<!-- latency: end -->"
    before, marker, rest = readme.partition(begin)
    if not marker:
        return readme
    _, closed, after = rest.partition(end)
    if not closed or record is None:
        raise ValueError(f"README has {begin} without {end}, or {LATENCY.name} is missing")
    return f"{before}{begin}\n{table(record)}\n{end}{after}"


def kept_latency() -> Json | None:
    """The record of `bench/latency.py` that is kept; None before one is."""
    if not LATENCY.is_file():
        return None
    found: Json = json.loads(LATENCY.read_text(encoding="utf-8"))
    return found


def with_sessions(readme: str, folder: Path) -> str:
    """README's text with its console blocks run anew in `folder`, block after block.

    Raises CalledProcessError when a command of them fails.
    """
    lines: list[str] = []
    in_console = False
    for line in readme.splitlines():
        if line.startswith("```"):
            in_console = line == "```console"
        if not in_console or line == "```console":
            lines.append(line)
        elif line.startswith("$ "):
            lines += [line, *_output(line[2:], folder)]
    return "\n".join(lines) + "\n"


def _output(command: str, folder: Path) -> list[str]:
    name, *arguments = shlex.split(command)
    if name != "vampbench":
        return []
    done = subprocess.run(
        [sys.executable, "-c", "from workbench.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(DOCS.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.rstrip() for line in done.stdout.splitlines() if line.strip()]


def main() -> None:
    """Keep the figures of the results that are given; write README anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    for run in RUNS:
        parser.add_argument(f"--{run}", type=Path, metavar="RESULTS_JSON", dest=run)
    parser.add_argument("--latency", type=Path, metavar="RESULTS_JSON")
    parser.add_argument("--tune", type=Path, metavar="TUNE_JSON", nargs="+")
    chosen = vars(parser.parse_args())
    latency = chosen.pop("latency")
    tuned = chosen.pop("tune")
    if tuned:
        quoted = [trimmed_search(json.loads(path.read_text(encoding="utf-8"))) for path in tuned]
        text = json.dumps({"searches": quoted}, indent=1, ensure_ascii=False)
        (DOCS / "tune-results.json").write_text(text + "\n", encoding="utf-8")
    if latency is not None and latency.resolve() != LATENCY:
        text = latency.read_text(encoding="utf-8")
        LATENCY.parent.mkdir(exist_ok=True)
        LATENCY.write_text(text, encoding="utf-8")
    for run, path in chosen.items():
        if path is not None:
            quoted = trimmed(json.loads(path.read_text(encoding="utf-8")))
            text = json.dumps(quoted, indent=1, ensure_ascii=False)
            (DOCS / f"{run}-results.json").write_text(text + "\n", encoding="utf-8")
    readme = with_figures(README.read_text(encoding="utf-8"), {run: kept(run) for run in KEPT})
    readme = with_latency(readme, kept_latency())
    with tempfile.TemporaryDirectory(prefix="vampbench-") as folder:
        README.write_text(with_sessions(readme, Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
