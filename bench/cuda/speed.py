"""The time of every variant on the device: interleaved rounds, inputs bound once.

PyTorch's rows of the transformers stand beside them, in the same rounds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from bench.cuda.setting import BASELINE, TRANSFORMERS, Setting
from profiles.files import model_files, size_of
from profiles.host import memory_bytes
from profiles.measure import stats
from profiles.measure.measure import plan_groups
from profiles.measure.process import Child, started
from profiles.measure.rounds import Entry, Plan, measure_group
from profiles.place import Place
from profiles.targets.cuda import device_facts
from vampnet_models.cache import Json

TORCH = ("torch-fp32", "torch-fp16")


def time_models(setting: Setting, tell: Callable[[str], None]) -> Json:
    """Seconds of each model's rows: medians, and speed-ups with 95 % intervals."""
    return {stem: _timed(setting, stem, tell) for stem in setting.stems()}


def _timed(setting: Setting, stem: str, tell: Callable[[str], None]) -> Json:
    feed = setting.feed(stem)
    made = [Entry(row, path, feed, _bytes(path)) for row, path in setting.rows(stem).items()]
    if stem in TRANSFORMERS:
        source = setting.source(stem)
        made += [
            Entry(row, source, feed, _bytes(source), opened=torch_opener(row)) for row in TORCH
        ]
    plan = Plan(rounds=setting.rounds, cold=False, yardstick=False)
    rows: Json = {}
    for members in plan_groups([each.bytes for each in made], _room_bytes(), True):
        # The baseline runs in every group, a new process each time, and keeps its first figures.
        group = [
            Entry(each.name, each.path, each.feeds, each.bytes, each.opened)
            for each in (made[number] for number in members)
        ]
        tell(f"{stem}: {', '.join(each.name for each in group)}")
        share = measure_group(group, setting.place, plan, setting.name, lambda *_: None)
        for each in group:
            rows.setdefault(each.name, _row(each, group[0], share))
    return rows


def _row(entry: Entry, first: Entry, foreign_share: float | None) -> Json:
    """One row of the record; `failed` in its place where it did not run to the end."""
    if entry.failure:
        return {"failed": entry.failure}
    summary = stats.summarise(entry.samples_s)
    noise = stats.noise_verdict(entry.samples_s, foreign_share)
    row: Json = {
        "median_s": summary.median,
        "p10_s": summary.p10,
        "p90_s": summary.p90,
        "noisy": noise.noisy,
        "warnings": [*entry.warnings, *noise.warnings],
        "samples_s": entry.samples_s,
    }
    if first.name == BASELINE and entry is not first and not first.failure:
        ratio = stats.paired_ratio(first.samples_s, entry.samples_s)
        row |= {"speedup": 1 / ratio.value, "speedup_interval": [1 / ratio.high, 1 / ratio.low]}
    return row


def torch_opener(row: str) -> Callable[[Path, Path, Place, str], AbstractContextManager[Child]]:
    """Starts a process of eager PyTorch, for the row's precision."""
    return partial(_torch, row.removeprefix("torch-"))


def _torch(
    precision: str, model: Path, feeds: Path, _: Place, device: str
) -> AbstractContextManager[Child]:
    words = (str(model.resolve()), str(feeds.resolve()), device, precision)
    return started([sys.executable, "-P", "-m", "bench.cuda.torch_child", *words])


def _bytes(path: Path) -> int:
    return size_of(model_files(path))


def _room_bytes() -> int | None:
    """Memory for the rows that are open together: the machine's or the device's, the smaller."""
    found = [memory_bytes()[1]]
    total = re.match(r"(\d+) MiB", device_facts().get("memory.total", ""))
    found += [int(total[1]) * 2**20] if total else []
    return min((each for each in found if each is not None), default=None)
