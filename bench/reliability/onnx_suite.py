"""The onnx package's own backend test cases through every recipe: right, refused, or a fault.

`python -m bench.reliability.onnx_suite` takes all cases of four kinds (node, simple, pytorch-
converted, pytorch-operator) in both forms of `onnx_cases.py`, converts those that ONNX Runtime runs
by each of the six recipes and judges by `judge.py`. The cases' weights are tiny: they are converted
whatever their size, unless `--as-shipped`. Each case runs in a process of its own, so that one
which dies is a row, not the end. Finished rows are kept in the work folder by a hash of the
product's code and of its libraries' versions: the same command goes on where it stopped, and starts
anew once the code has changed. A whole run is written to the results and to
docs/results/reliability.md; one of a part is printed alone. Exit code 1 if there is any fault.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from bench import ROOT
from bench.reliability.onnx_cases import FORMS, KINDS, Case, load_cases
from bench.reliability.onnx_suite_case import (
    FAULTS,
    SOURCE,
    TRACEBACK,
    Row,
    limit_memory,
    rows_of,
    take_every_size,
)
from bench.reliability.onnx_suite_results import DOCS, RESULTS, counted, with_section
from optimize.recipes import RECIPES
from optimize.variant import versions
from vampnet_models.onnxfile.artifact import write_text

_PRODUCT = ("vampnet_models", "calibration", "optimize")
_Work = Callable[[Case, tuple[str, ...], Connection], None]
_RECIPE_NAMES = tuple(recipe.name for recipe in RECIPES)
_LIMIT_S = 120.0
"""A case that takes longer, by all its recipes, has hung."""


def code_key() -> str:
    """A hash of the product's code, of the bench's and of the versions that decide a variant."""
    digest = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    files = [p for folder in _PRODUCT for p in (ROOT / folder).rglob("*.py")]
    here = Path(__file__).parent
    files += [*here.glob("onnx_*.py"), here / "judge.py"]
    for path in sorted(files):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def read_rows(path: Path, key: str | None = None) -> list[Row]:
    """The kept rows, of all runs or of the code that `key` names; a torn last line is left."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if key in (None, values.pop("key")):
            values.pop("key", None)
            rows.append(Row(**values))
    return rows


def _child(case: Case, recipes: tuple[str, ...], sender: Connection) -> None:
    """Send the rows of a case as they are made, of weights of any size."""
    take_every_size()
    _as_shipped(case, recipes, sender)


def _as_shipped(case: Case, recipes: tuple[str, ...], sender: Connection) -> None:
    """The same as the commands do it: weights that are too small to be worth it stay."""
    limit_memory()
    for row in rows_of(case, recipes):
        sender.send(row)
    sender.close()


@dataclass
class _Running:
    """A case in a process of its own; `done` are the rows that it has sent."""

    case: Case
    recipes: tuple[str, ...]
    process: ForkServerProcess
    until: float
    done: list[Row] = field(default_factory=list)


def run(
    cases: Iterable[tuple[Case, tuple[str, ...]]],
    jobs: int,
    context: ForkServerContext,
    work: _Work = _child,
) -> Iterator[Row]:
    """The rows of all cases by their recipes, in the order in which they end."""
    waiting = iter(cases)
    running: dict[Connection, _Running] = {}
    try:
        while True:
            while len(running) < jobs and (found := next(waiting, None)) is not None:
                receiver, started = _start(*found, context, work)
                running[receiver] = started
            if not running:
                return
            for receiver in wait(list(running), timeout=1.0):
                assert isinstance(receiver, Connection)
                try:
                    row = receiver.recv()
                except EOFError:
                    yield from _ended(running, receiver, "ended", context, work)
                    continue
                running[receiver].done.append(row)
                yield row
            for receiver, each in list(running.items()):
                if time.monotonic() > each.until:
                    each.process.kill()
                    yield from _ended(
                        running, receiver, f"no end in {_LIMIT_S:.0f} s", context, work
                    )
    finally:
        for each in running.values():
            each.process.kill()


def _start(
    case: Case, recipes: tuple[str, ...], context: ForkServerContext, work: _Work
) -> tuple[Connection, _Running]:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(case, recipes, sender))
    process.start()
    sender.close()
    return receiver, _Running(case, recipes, process, time.monotonic() + _LIMIT_S)


def _ended(
    running: dict[Connection, _Running],
    receiver: Connection,
    how: str,
    context: ForkServerContext,
    work: _Work,
) -> Iterator[Row]:
    """Take a process off the list; where it died, the recipe it was at is a fault."""
    each = running.pop(receiver)
    receiver.close()
    each.process.join()
    code = each.process.exitcode or 0
    if code == 0:
        return
    if code < 0 and how == "ended":
        how = f"the process died of {signal.Signals(-code).name}"
    left = [r for r in (SOURCE, *each.recipes) if r not in {row.recipe for row in each.done}]
    case = each.case
    if left:
        yield Row(case.kind, case.name, case.form, left[0], TRACEBACK, how)
    if len(left) > 1 and left[0] != SOURCE:
        again, started = _start(case, tuple(left[1:]), context, work)
        running[again] = started


def unfinished(
    cases: Iterable[Case], rows: Iterable[Row], recipes: tuple[str, ...]
) -> Iterator[tuple[Case, tuple[str, ...]]]:
    """The cases with the recipes that have no row yet; what does not run needs none."""
    found: dict[tuple[str, str, str], set[str]] = {}
    ended = set()
    for row in rows:
        found.setdefault((row.kind, row.case, row.form), set()).add(row.recipe)
        if row.recipe == SOURCE and row.outcome in (TRACEBACK, "unrunnable"):
            ended.add((row.kind, row.case, row.form))
    for case in cases:
        place = (case.kind, case.name, case.form)
        left = tuple(r for r in recipes if r not in found.get(place, ()))
        if left and place not in ended:
            yield case, left


def _chosen(given: argparse.Namespace, earlier: Iterable[Row]) -> Iterator[Case]:
    again = {
        (r.kind, r.case, r.form) for r in earlier if r.outcome in FAULTS and r.recipe != SOURCE
    }
    names = set(given.only)
    for case in load_cases(tuple(given.kinds)):
        if names and case.name not in names:
            continue
        if given.again and (case.kind, case.name, case.form) not in again:
            continue
        yield case


def _main() -> int:
    """Run what has no row yet, then print, and write where all is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("out/bench/onnx_suite"))
    parser.add_argument("--only", nargs="+", default=[], help="cases by name")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--recipes", nargs="+", choices=_RECIPE_NAMES, default=_RECIPE_NAMES)
    parser.add_argument("--again", action="store_true", help="cases that had a fault before")
    parser.add_argument("--fresh", action="store_true", help="forget the kept rows of this code")
    parser.add_argument("--as-shipped", action="store_true", help="leave tiny weights, as ever")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    for name in ("ORT_DISABLE_TELEMETRY", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.reliability.onnx_suite_case"])
    kept, key = given.work / f"rows{'-as-shipped' if given.as_shipped else ''}.jsonl", code_key()
    work = _as_shipped if given.as_shipped else _child
    kept.parent.mkdir(parents=True, exist_ok=True)
    earlier = read_rows(kept)
    rows = [] if given.fresh else read_rows(kept, key)
    chosen, recipes = list(_chosen(given, earlier)), tuple(given.recipes)
    todo = list(unfinished(chosen, rows, recipes))
    print(f"{len(chosen)} cases in {len(FORMS)} forms, {len(todo)} to run; code {key}", flush=True)
    places = {(case.kind, case.name, case.form) for case in chosen}
    started = time.monotonic()
    with kept.open("w" if given.fresh else "a", encoding="utf-8") as stream:
        for number, row in enumerate(run(todo, given.jobs, context, work)):
            rows.append(row)
            stream.write(json.dumps({"key": key, **asdict(row)}) + "\n")
            stream.flush()
            if row.outcome in FAULTS and row.recipe != SOURCE:
                print(row.case, row.form, row.recipe, row.outcome, row.detail, sep="\t", flush=True)
            elif number % 1000 == 999:
                print(f"{number + 1} rows, {time.monotonic() - started:.0f} s", flush=True)
    shown = {
        (r.kind, r.case, r.form, r.recipe): r for r in rows if (r.kind, r.case, r.form) in places
    }
    content = counted(shown.values(), key, recipes) | {"every_size": not given.as_shipped}
    whole = (
        not given.only and not given.again and recipes == _RECIPE_NAMES and len(given.kinds) == 4
    )
    if whole:
        write_text(given.results, json.dumps(content, indent=1) + "\n")
        if given.results == RESULTS:
            write_text(DOCS, with_section(DOCS.read_text(encoding="utf-8"), content))
    for recipe, counts in content["recipes"].items():
        print(f"{recipe:<14}", ", ".join(f"{n} {name}" for name, n in counts["all"].items()))
    return 1 if content["faults"] else 0


if __name__ == "__main__":
    sys.exit(_main())
