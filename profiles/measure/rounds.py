"""One group of variants that are open at the same time: warm-up, then shuffled rounds."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from profiles import host
from profiles.files import model_files
from profiles.measure import stats
from profiles.measure.process import Child, ChildFailed, child
from profiles.place import Place
from vampnet_models.progress import Progress

_LEAD_S = 0.1
"""Untimed running before a timed run. A process that wakes up finds its threads on one core until
the scheduler spreads them, and caches that others have filled: on two cores, runs of 4 ms took
8 ms for the first 20 to 60 ms."""

_MOST_LEAD_RUNS = 1000
"""A model of microseconds would fill `_LEAD_S` with tens of thousands of runs in every round."""

_SETTLE_S = 0.005
"""For the worker threads of the process before: they spin for a while after its run."""


@dataclass(frozen=True)
class Plan:
    """How much to measure. A group stops after `rounds`, or earlier when `min_rounds` are done and
    `budget_s` is spent or every ratio is known to `narrow`: the half of its interval, as a share of
    it (Georges, Buytaert and Eeckhout, OOPSLA 2007: narrow by itself, whatever it shows). Warm-up
    takes `_LEAD_S` at least, and ends when it is steady or at one of its bounds. `cold` opens each
    model once more, in a process of its own, with its files out of the page cache. `yardstick`
    times a fixed workload in every round too, which comparing two runs needs."""

    rounds: int = 20
    min_rounds: int = 7
    budget_s: float = 60.0
    narrow: float = stats.SAME_RUN_MARGIN
    warmup_max: int = 6
    warmup_max_s: float = 5.0
    cold: bool = True
    yardstick: bool = True
    seed: int = 0


Opener = Callable[[Path, Path, Place, str], AbstractContextManager[Child]]
"""Starts the process that a model lives in: model, feeds, place, and the device to bind on."""


@dataclass
class Entry:
    """One variant while it is being measured; `opened` starts its process."""

    name: str
    path: Path
    feeds: Path
    bytes: int
    opened: Opener = child
    child: Child | None = None
    cold_s: float | None = None
    first_run_s: float = 0.0
    warmup_s: list[float] = field(default_factory=list)
    samples_s: list[float] = field(default_factory=list)
    peak_rss_bytes: int = 0
    failure: str = ""
    warnings: list[str] = field(default_factory=list)


def measure_group(
    entries: list[Entry],
    place: Place,
    plan: Plan,
    bind: str,
    tell: Progress,
) -> float | None:
    """Fill the entries; the share of the cores' time that other processes used, if known."""
    steps = len(entries) + plan.rounds
    with ExitStack() as stack:
        for i, entry in enumerate(entries):
            tell(i, steps)
            try:
                if plan.cold:
                    entry.cold_s = _open_cold(entry, place, bind)
                entry.child = stack.enter_context(
                    entry.opened(entry.path, entry.feeds, place, bind)
                )
                _warm_up(entry, plan)
            except ChildFailed as error:
                entry.failure = str(error)
        watch = _Watch([e.child for e in entries if e.child is not None and not e.failure])
        _run_rounds(entries, plan, lambda done: tell(len(entries) + done, steps))
        share = watch.foreign_share()
        for entry in entries:
            if entry.child is not None and not entry.failure:
                try:
                    entry.peak_rss_bytes = entry.child.peak_rss_bytes()
                except ChildFailed as error:
                    entry.failure = str(error)
    tell(steps, steps)
    return share


def _open_cold(entry: Entry, place: Place, bind: str) -> float | None:
    """Session time with the model's files out of the page cache; None when they stayed in it."""
    if not hasattr(os, "posix_fadvise"):
        return None
    for file in model_files(entry.path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    with entry.opened(entry.path, entry.feeds, place, bind) as process:
        read_bytes = int(process.ready["disk_read_bytes"])
        return float(process.ready["session_s"]) if read_bytes >= entry.bytes // 2 else None


def _warm_up(entry: Entry, plan: Plan) -> None:
    assert entry.child is not None
    (entry.first_run_s,) = entry.child.run()
    lead = lead_runs([entry.first_run_s])
    entry.warmup_s += entry.child.run(lead)
    start = time.perf_counter()
    most = lead + plan.warmup_max
    while len(entry.warmup_s) < most and not stats.is_steady(entry.warmup_s):
        entry.warmup_s += entry.child.run()
        if time.perf_counter() - start > plan.warmup_max_s:
            break
    if not stats.is_steady(entry.warmup_s):
        entry.warnings.append(
            f"not steady after {len(entry.warmup_s)} warm-up runs: measure on an idle machine"
        )


def _run_rounds(entries: list[Entry], plan: Plan, tell: Callable[[int], None]) -> None:
    """One timed run of every living entry per round, in shuffled order, after `lead_runs`.

    The first entry is the reference of the ratios. The pause lets the last process's worker threads
    stop spinning.
    """
    order = random.Random(plan.seed)
    start = time.perf_counter()
    for done in range(plan.rounds):
        if done >= plan.min_rounds and (
            time.perf_counter() - start > plan.budget_s or _known(entries, plan.narrow)
        ):
            break
        tell(done)
        living = [e for e in entries if e.child is not None and not e.failure]
        order.shuffle(living)
        for entry in living:
            assert entry.child is not None
            lead = lead_runs(entry.warmup_s or [entry.first_run_s])
            time.sleep(_SETTLE_S)
            try:
                entry.samples_s.append(entry.child.run(lead + 1)[-1])
            except ChildFailed as error:
                entry.failure = f"after {len(entry.samples_s)} timed runs {error}"


def _known(entries: Sequence[Entry], narrow: float) -> bool:
    """Whether the ratio of every living entry to the first has an interval that is narrow."""
    living = [each.samples_s for each in entries if each.samples_s and not each.failure]
    ratios = (stats.paired_ratio(living[0], each) for each in living[1:])
    known = all(each.high - each.low <= 2 * narrow * each.value for each in ratios)
    return known and len(living) > 1


def lead_runs(warmup_s: Sequence[float]) -> int:
    """How many untimed runs take about `_LEAD_S`; none where that is a tenth of one run or less."""
    usual_s = stats.percentile(warmup_s[-3:], 50)
    return min(_MOST_LEAD_RUNS, math.ceil(_LEAD_S / usual_s)) if usual_s < 10 * _LEAD_S else 0


class _Watch:
    """Tells what share of the cores' time went to processes that are not ours."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children
        self._cores = host.affinity()
        self._start = self._now()

    def foreign_share(self) -> float | None:
        start, now = self._start, self._now()
        if start is None or now is None:
            return None
        elapsed, busy, ours = (b - a for a, b in zip(start, now, strict=True))
        return min(1.0, max(0.0, (busy - ours) / (elapsed * len(self._cores))))

    def _now(self) -> tuple[float, float, float] | None:
        busy = host.busy_s(self._cores)
        ours = [c.cpu_s() for c in self._children]
        if busy is None or None in ours:
            return None
        return time.perf_counter(), busy, sum(filter(None, ours)) + time.process_time()
