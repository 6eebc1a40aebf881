"""Finished mutants of a file, and the counts that the documentation quotes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from bench.reliability.onnx_suite_results import put_section
from tests.fuzz.runner import CPU_LIMIT_S, MEMORY_LIMIT_BYTES, Outcome

SLOW = f"over_{CPU_LIMIT_S}_s_cpu"
LARGE = f"over_{MEMORY_LIMIT_BYTES // 1_000_000}_mb"

TITLE = "## Damaged and hostile files"
INTRODUCTION = (
    "`make fuzz` changes small valid files by a seed: bytes, fields of their headers, operations "
    "of pickles, values, lengths; and it writes files that are made to cost much (a few hundred "
    "bytes that would become gigabytes). Checkpoints go through `import`, ONNX files through "
    "`inspect` and `fuse`, sounds through the reader of calibration audio, each in a process of "
    "its own. A file is accepted or refused in one line. The peak is what the process held beyond "
    "its start; needed is what the accepted content takes, for a sound twice its samples."
)


def read_outcomes(path: Path) -> list[Outcome]:
    """The lines of a record; a last line that an interruption cut is left out."""
    outcomes = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            outcomes.append(Outcome(**json.loads(line)))
        except ValueError:
            continue
    return outcomes


def counts_of(outcomes: list[Outcome]) -> dict[str, object]:
    """What is claimed of a kind."""
    faults = Counter(fault for outcome in outcomes for fault in outcome.faults)
    return {
        "mutants": len(outcomes),
        "accepted": sum(outcome.ended == "accepted" for outcome in outcomes),
        "refused": sum(outcome.ended == "refused" for outcome in outcomes),
        "tracebacks": faults["traceback"] + faults["crash"],
        "not_one_line": faults["not one line"],
        SLOW: faults["slow"],
        LARGE: faults["memory"],
        "with_chatter": sum(bool(outcome.chatter) for outcome in outcomes),
        "most_cpu_s": max((outcome.cpu_s for outcome in outcomes), default=0.0),
        "highest_peak_mb": max((o.peak_bytes for o in outcomes), default=0) // 1_000_000,
        "faults": [
            {"seed": o.seed, "how": o.how, "faults": list(o.faults)} for o in outcomes if o.faults
        ],
    }


def write_result(path: Path, folder: Path, kinds: list[str]) -> None:
    """The counts of every kind that has a record in the folder."""
    records = {kind: folder / f"{kind}.jsonl" for kind in kinds}
    counts = {
        kind: counts_of(sorted(read_outcomes(record), key=lambda o: o.seed))
        for kind, record in records.items()
        if record.exists()
    }
    path.write_text(json.dumps({"schema": 1, "kinds": counts}, indent=1) + "\n", "utf-8")


def section(content: dict[str, Any]) -> str:
    """The section of docs/results/reliability.md that the counts give."""
    rows = [
        "| mutants of | tried | accepted | refused in one line | traceback or crash | over "
        f"{CPU_LIMIT_S} s of CPU | over {MEMORY_LIMIT_BYTES // 1_000_000} MB beyond need | "
        "most CPU | highest peak |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, counts in content["kinds"].items():
        cells = [kind, *(f"{counts[name]:,}" for name in ("mutants", "accepted", "refused"))]
        cells += [f"{counts['tracebacks'] + counts['not_one_line']:,}"]
        cells += [f"{counts[name]:,}" for name in (SLOW, LARGE)]
        cells += [f"{counts['most_cpu_s']:.1f} s", f"{counts['highest_peak_mb']} MB"]
        rows.append(f"| {' | '.join(cells)} |")
    return f"{INTRODUCTION}\n\n" + "\n".join(rows) + "\n"


def with_section(text: str, content: dict[str, Any]) -> str:
    """The page with this section in place of the one that it has, or at its end."""
    return put_section(text, TITLE, section(content))
