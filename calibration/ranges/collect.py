"""Run a model over samples and find the range of any of its tensors, in bounded memory.

The first pass appends ReduceMin, ReduceMax and ReduceSum to the graph, so that a few numbers
per tensor or channel leave the runtime. Observers that need histograms add a second pass, which
fetches the tensors themselves in groups of bounded size. Samples may differ in length, and every
one of them counts. What is finished can be kept in a file, and is then not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.ranges import kept_ranges, memory
from calibration.ranges.channel_histograms import CHANNEL_BINS, ChannelHistograms
from calibration.ranges.kept_ranges import Store
from calibration.ranges.memory import Prediction
from calibration.ranges.observers import (
    CHOOSERS,
    N_BINS,
    OBSERVERS,
    ChannelRange,
    Histogram,
    MinMax,
    Range,
)
from calibration.ranges.side_graph import extremes_of, fetch, open_side, output_name, run, stream
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Progress

GROUP_BYTES = 96 * 1024 * 1024
"""The most bytes of tensors and counts that the second pass holds at once, unless one tensor
alone takes more."""

_MOMENTS_BYTES = 272 * 1024 * 1024
"""The same for second moments."""


@dataclass(frozen=True)
class Terms:
    """How a calibration is run; its result is the same on any.

    With `max_memory_bytes` the second pass fetches less at a time where that is needed. Feeds and
    groups that `store` has finished are not run again. `on_prediction` hears of the memory
    before anything runs.
    """

    max_memory_bytes: int | None = None
    store: Store | None = None
    on_prediction: Callable[[Prediction], None] | None = None


def collect_channel_ranges(
    model_path: Path,
    feeds: Iterable[Feeds],
    channel_axes: Mapping[str, int | None],
    observer: str = "minmax",
    *,
    terms: Terms | None = None,
    later_bytes: int = 0,
    progress: Progress | None = None,
) -> dict[str, Range | ChannelRange]:
    """The range per channel; `channel_axes` says which axis that is.

    A tensor whose axis is None gets one range over all its values. The peak RSS of this process
    is predicted before anything runs; `later_bytes` are what a pass after this one will hold.

    Raises InputError: an unknown observer or tensor, no feeds, a feed that the model refuses, a
    tensor that holds NaN or infinity; `terms` that cannot be kept: too little memory, or a file of
    another calibration.
    """
    if observer not in OBSERVERS:
        raise InputError(f"{observer}: no such observer; choose one of {', '.join(OBSERVERS)}")
    samples = _samples(model_path, feeds)
    axes, terms = dict(channel_axes), terms or Terms()
    if not axes:
        return {}
    kept = _Kept(model_path, samples, axes, observer, terms.store)
    group_bytes = GROUP_BYTES
    if not kept.is_done(axes, observer):
        longest = max(samples, key=lambda feed: sum(array.nbytes for array in feed.values()))
        predicted = memory.predict(model_path, longest, axes, observer, GROUP_BYTES, later_bytes)
        if terms.on_prediction is not None:
            terms.on_prediction(predicted)
        group_bytes = memory.group_within(predicted, terms.max_memory_bytes, GROUP_BYTES)
    report = _Report(progress, len(samples) * (2 if observer in CHOOSERS else 1))
    _extremes(model_path, samples, axes, kept, report)
    seen: dict[str, Range | ChannelRange] = {
        name: kept.state.extremes[name].range()
        if axis is None
        else kept.state.extremes[name].channels()
        for name, axis in axes.items()
    }
    if observer not in CHOOSERS:
        return seen
    todo = {
        name: _state_bytes(kept.state.peak_elements[name], found)
        for name, found in seen.items()
        # A tensor that never changes has no histogram to choose from.
        if name not in kept.state.finished and bool(np.any(np.less(found.low, found.high)))
    }
    groups = _groups_of(todo, group_bytes)
    report.total = report.done + len(samples) * len(groups)
    for group in groups:
        chosen = _histograms(model_path, samples, group, axes, seen, observer, report)
        kept.state.finished.update(chosen)
        kept.save()
    return {name: _with_mean(kept.state.finished.get(name), found) for name, found in seen.items()}


def _with_mean(
    chosen: Range | ChannelRange | None, seen: Range | ChannelRange
) -> Range | ChannelRange:
    """What an observer chose, with the mean of all that was seen."""
    if chosen is None:
        return seen
    if isinstance(chosen, ChannelRange) and isinstance(seen, ChannelRange):
        return replace(chosen, mean=seen.mean)
    return chosen


def _state_bytes(elements: int, seen: Range | ChannelRange) -> int:
    """What the second pass holds for a tensor: its values, and its counts."""
    bins = N_BINS if isinstance(seen, Range) else CHANNEL_BINS * len(seen.low)
    return elements * 4 + bins * 8


def collect_moments(
    model_path: Path,
    feeds: Iterable[Feeds],
    widths: Mapping[str, int],
    *,
    progress: Progress | None = None,
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """X^T X of each named tensor, `[width, width]`, X being its rows over all feeds.

    `widths` gives the last axis of each; the others count positions. One run fetches a group of
    tensors and only that group's moments are kept, so memory is bounded by `_MOMENTS_BYTES`.

    Raises InputError as `collect_ranges` does.
    """
    samples = _samples(model_path, feeds)
    groups = _groups_of({name: width * width * 8 for name, width in widths.items()}, _MOMENTS_BYTES)
    report = _Report(progress, len(samples) * len(groups))
    for group in groups:
        session = open_side(model_path, group, fetch)
        moments = {name: np.zeros((widths[name], widths[name])) for name in group}
        for number, sample in enumerate(samples):
            fetched = stream(session, model_path, sample, number)
            for name, (_, values) in zip(group, fetched, strict=True):
                rows = values.reshape(-1, widths[name])
                if not np.isfinite(rows).all():
                    raise _not_finite(model_path, name, number)
                moments[name] += rows.T @ rows
            report.step()
        del session
        for name in group:
            yield name, moments.pop(name)


def moments_bytes(widths: Mapping[str, int]) -> int:
    """What `collect_moments` of these holds at once."""
    sizes = [width * width * 8 for width in widths.values()]
    return max(min(sum(sizes), _MOMENTS_BYTES), max(sizes)) if sizes else 0


@dataclass
class _Report:
    progress: Progress | None
    total: int
    done: int = 0

    def step(self, count: int = 1) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


class _Kept:
    """The state of a calibration, written after every step where there is a store."""

    def __init__(
        self,
        model_path: Path,
        samples: Sequence[Feeds],
        axes: Mapping[str, int | None],
        observer: str,
        store: Store | None,
    ) -> None:
        self.store = store
        self.state = kept_ranges.Collected()
        self.n_samples = len(samples)
        if store is not None:
            self.key = kept_ranges.key_of(model_path, samples, axes, observer)
            self.state = kept_ranges.load(store, self.key)

    def is_done(self, axes: Mapping[str, int | None], observer: str) -> bool:
        """Whether nothing is left to run."""
        ranged = self.state.n_feeds == self.n_samples
        return ranged and (observer not in CHOOSERS or not set(axes) - set(self.state.finished))

    def save(self) -> None:
        if self.store is not None:
            kept_ranges.save(self.store, self.key, self.state)


def _extremes(
    model_path: Path,
    samples: Sequence[Feeds],
    axes: Mapping[str, int | None],
    kept: _Kept,
    report: _Report,
) -> None:
    """Take in the feeds that are not in `kept` yet."""
    found = kept.state
    report.step(found.n_feeds)
    if found.n_feeds == len(samples):
        return
    for name in axes:
        found.extremes.setdefault(name, MinMax())
        found.peak_elements.setdefault(name, 0)
    session = open_side(model_path, list(axes), extremes_of(axes))
    for number, sample in enumerate(samples):
        if number < found.n_feeds:
            continue
        outputs = run(session, model_path, sample, number)
        seen = {}
        for i, name in enumerate(axes):
            low, high, total, size = (
                outputs[output_name(i, part)] for part in ("min", "max", "sum", "size")
            )
            if not int(size):
                # A cache that is empty at first: the ends of nothing are infinite.
                low, high = np.zeros_like(low), np.zeros_like(high)
            finite = bool(np.isfinite(low).all() and np.isfinite(high).all())
            # The reductions may skip a NaN, a sum cannot; but a sum may overflow by itself.
            if finite and not np.isfinite(total).all():
                finite = _is_finite(model_path, name, sample, number)
            if not finite:
                raise _not_finite(model_path, name, number)
            totals = total.astype(np.float64) if np.isfinite(total).all() else None
            seen[name] = low.astype(np.float32), high.astype(np.float32), totals, int(size)
        for name, (low, high, totals, n_elements) in seen.items():
            count = n_elements // max(1, low.size)
            found.extremes[name].update(low, high, totals, count)
            found.peak_elements[name] = max(found.peak_elements[name], n_elements)
        found.n_feeds += 1
        kept.save()
        report.step()


def _histograms(
    model_path: Path,
    samples: Sequence[Feeds],
    group: Sequence[str],
    axes: Mapping[str, int | None],
    seen: Mapping[str, Range | ChannelRange],
    observer: str,
    report: _Report,
) -> dict[str, Range | ChannelRange]:
    """Count the values of some tensors over all samples, and choose their ranges."""
    session = open_side(model_path, group, fetch)
    counted: dict[str, Histogram | ChannelHistograms] = {}
    for name in group:
        found = seen[name]
        counted[name] = Histogram(found) if isinstance(found, Range) else ChannelHistograms(found)
    for number, sample in enumerate(samples):
        fetched = stream(session, model_path, sample, number)
        for name, (_, values) in zip(group, fetched, strict=True):
            histogram, axis = counted[name], axes[name]
            if isinstance(histogram, Histogram):
                histogram.update(values)
            elif axis is not None:
                histogram.update(values, axis)
        report.step()
    return {
        name: CHOOSERS[observer](histogram)
        if isinstance(histogram, Histogram)
        else histogram.ranges(observer)
        for name, histogram in counted.items()
    }


def _is_finite(model_path: Path, tensor: str, sample: Feeds, number: int) -> bool:
    session = open_side(model_path, [tensor], fetch)
    return bool(
        np.isfinite(run(session, model_path, sample, number)[output_name(0, "value")]).all()
    )


def _not_finite(model_path: Path, tensor: str, number: int) -> InputError:
    return InputError(
        f"{model_path}: tensor {tensor} holds NaN or infinity on calibration sample {number}; "
        "leave that sample out, or mend the model"
    )


def _samples(model_path: Path, feeds: Iterable[Feeds]) -> Sequence[Feeds]:
    samples = feeds if isinstance(feeds, Sequence) else tuple(feeds)
    if not samples:
        raise InputError(f"{model_path}: no calibration samples; give at least one")
    return samples


def _groups_of(n_bytes: Mapping[str, int], most_bytes: int) -> list[list[str]]:
    """Neighbours in the given order together, each group within `most_bytes` or one tensor."""
    groups: list[list[str]] = []
    held = 0
    for name, size in n_bytes.items():
        if not groups or held + size > most_bytes:
            groups.append([])
            held = 0
        groups[-1].append(name)
        held += size
    return groups


def kept_calibration(folder: Path, model: str, recipe: str) -> Terms:
    """Ranges in a file of the model and the recipe, where an interrupted calibration goes on."""
    return Terms(store=Store(folder / f"{model}.{recipe}.npz"))
