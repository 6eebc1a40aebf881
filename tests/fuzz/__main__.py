"""Try mutants: `python -m tests.fuzz KIND ... --count N`; what was tried is not tried again.

Finished mutants are lines of OUT/KIND.jsonl; `--result FILE` writes the counts of all of them, and
the section of docs/results/reliability.md.
`python -m tests.fuzz KIND --keep N FILE` writes the mutant of seed N, to look at it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench.reliability.onnx_suite_results import DOCS
from tests.fuzz import checkpoints, headers, sounds
from tests.fuzz.runner import Kind, mutant_of, try_mutant
from tests.fuzz.summary import read_outcomes, with_section, write_result

KINDS = {kind.name: kind for kind in (checkpoints.KIND, headers.KIND, sounds.KIND)}


def main() -> int:
    """1 when a mutant broke a promise."""
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--count", type=int, default=100, help="mutants of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    parser.add_argument("--result", type=Path, help="write the counts there")
    parser.add_argument("--keep", nargs=2, metavar=("SEED", "FILE"))
    given = parser.parse_args()
    if unknown := [name for name in given.kinds if name not in KINDS]:
        parser.error(f"{unknown[0]}: not one of {', '.join(KINDS)}")
    chosen = [KINDS[name] for name in given.kinds or KINDS]
    if given.keep:
        seed, file = given.keep
        mutant = mutant_of(chosen[0], int(seed))
        Path(file).write_bytes(mutant.data)
        print(mutant.how)
        return 0
    seeds = range(given.first, given.first + given.count)
    faults = sum(_run(kind, seeds, given.out) for kind in chosen)
    if given.result:
        write_result(given.result, given.out, list(KINDS))
        content = json.loads(given.result.read_text("utf-8"))
        DOCS.write_text(with_section(DOCS.read_text("utf-8"), content), "utf-8")
    return 1 if faults else 0


def _run(kind: Kind, seeds: range, out: Path) -> int:
    """Try the mutants that are not done; how many faults there are among all of these seeds."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{kind.name}.jsonl"
    kind.prepare()
    done = {outcome.seed: outcome for outcome in read_outcomes(path)}
    with path.open("a", encoding="utf-8") as stream:
        for seed in seeds:
            if seed in done:
                continue
            outcome = done[seed] = try_mutant(kind, seed)
            stream.write(json.dumps(outcome.as_json()) + "\n")
            stream.flush()
            if outcome.faults:
                cost = f"{outcome.cpu_s} s, {outcome.peak_bytes >> 20} MiB"
                print(f"{kind.name} {seed}: {outcome.how}: {outcome.said} ({cost})", flush=True)
    found = [done[seed] for seed in seeds]
    faults = sum(bool(outcome.faults) for outcome in found)
    accepted = sum(outcome.ended == "accepted" for outcome in found)
    noisy = sum(bool(outcome.chatter) for outcome in found)
    print(
        f"{kind.name}: {len(found)} mutants, {accepted} accepted, {faults} with a fault, "
        f"{noisy} with chatter, most CPU {max(o.cpu_s for o in found):.1f} s, "
        f"highest peak {max(o.peak_bytes for o in found) >> 20} MiB"
    )
    return faults


if __name__ == "__main__":
    sys.exit(main())
