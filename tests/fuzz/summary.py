"""Finished mutants of a file, and the counts that the documentation quotes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.fuzz.runner import CPU_LIMIT_S, MEMORY_LIMIT_BYTES, Outcome


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
        f"over_{CPU_LIMIT_S}_s_cpu": faults["slow"],
        f"over_{MEMORY_LIMIT_BYTES // 1_000_000}_mb": faults["memory"],
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
