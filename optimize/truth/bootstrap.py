"""Figures with an interval: what would other recordings, and other clips of them, have given?

A paired bootstrap in two stages (Davison and Hinkley 1997, section 3.8; Field and Welsh 2007):
recordings are drawn, then clips within each drawn one. All states, mask ratios and codebooks of a
clip stay together, since they share its music; so do both sides of a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampnet_models.records.accuracy import Figure

_N_RESAMPLES = 2000
"""Draws of the bootstrap: 50 lie beyond each end of a 95 % interval."""

_RATIO_BINS = 10
"""Strata are tenths of the mask ratio."""


@dataclass(frozen=True)
class Part:
    """Sums over a part of a clip: all of it, a state of it, or a codebook of a state.

    recording, clip: where it lies; clips of one name in two recordings are two.
    total: the sum over its positions; of a paired measure, the sum of the differences.
    count: how many positions, or whatever else the mean is taken over.
    stratum: the group whose mean enters the value: the tenth of the mask ratio, from 0; 0
        throughout, the default, where there are no masks.
    codebook: which one, from 0; None, the default, where codebooks are not told apart.
    """

    recording: str
    clip: str
    total: float
    count: int
    stratum: int = 0
    codebook: int | None = None


def figure_of(
    parts: Sequence[Part], floor: Sequence[Part] = (), *, by_ratio: bool = False
) -> Figure:
    """The mean over strata of each stratum's total by count, with its 95 % interval.

    `floor` are FP32's parts against itself. With `by_ratio` each stratum's own share is told too.
    The draws are seeded: the same parts give the same figure. Without any position the value is
    None.
    """
    counted = [part for part in parts if part.count]
    if not counted:
        return Figure(None)
    drawn = _resampled(counted)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(
        value=_mean(counted),
        low=float(low),
        high=float(high),
        floor=_mean([part for part in floor if part.count]),
        n=sum(part.count for part in counted),
        n_clips=len({(part.recording, part.clip) for part in counted}),
        per_recording=_grouped(counted, lambda part: part.recording),
        per_codebook=_grouped(
            [part for part in counted if part.codebook is not None], lambda part: part.codebook or 0
        ),
        per_mask_ratio=_grouped(counted, lambda part: f"{(part.stratum + 1) / _RATIO_BINS:.1f}")
        if by_ratio
        else {},
    )


def _mean(parts: Sequence[Part]) -> float | None:
    """The mean over the strata of each one's total by its count."""
    if not parts:
        return None
    totals, counts = _by_clip(parts)
    return float(_stratified(totals.sum(axis=0), counts.sum(axis=0)))


def _grouped(parts: Sequence[Part], key: Callable[[Part], int | str]) -> dict[str, float]:
    """The value of each group of parts, by its key as text, in the keys' order."""
    groups: dict[Any, list[Part]] = {}
    for part in parts:
        groups.setdefault(key(part), []).append(part)
    means = {str(each): _mean(groups[each]) for each in sorted(groups)}
    return {name: mean for name, mean in means.items() if mean is not None}


def _resampled(parts: Sequence[Part]) -> NDArray[Any]:
    """The value of each resample, `[_N_RESAMPLES]`."""
    totals, counts = _by_clip(parts)
    times = draws([recording for recording, _ in _clips(parts)])
    return _stratified(times @ totals, times @ counts)


def draws(recordings: Sequence[str]) -> NDArray[np.float64]:
    """How often each resample draws each clip, `[_N_RESAMPLES, clips]`; the recording of each."""
    names = sorted(set(recordings))
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), _N_RESAMPLES)
    times = np.zeros((_N_RESAMPLES, len(recordings)))
    for column, name in enumerate(names):
        own = [row for row, recording in enumerate(recordings) if recording == name]
        # A recording of n clips that is drawn m times gives n of its clips each time.
        times[:, own] = rng.multinomial(
            drawn[:, column] * len(own), np.full(len(own), 1 / len(own))
        )
    return times


def _clips(parts: Iterable[Part]) -> list[tuple[str, str]]:
    return sorted({(part.recording, part.clip) for part in parts})


def _by_clip(parts: Sequence[Part]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Totals and counts, `[clips, strata]` each."""
    rows = {clip: row for row, clip in enumerate(_clips(parts))}
    columns = {stratum: i for i, stratum in enumerate(sorted({p.stratum for p in parts}))}
    totals, counts = np.zeros((2, len(rows), len(columns)))
    for part in parts:
        at = rows[part.recording, part.clip], columns[part.stratum]
        totals[at] += part.total
        counts[at] += part.count
    return totals, counts


def _stratified(totals: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[Any]:
    """The mean over the last axis, of the strata that a resample holds, of total by count."""
    held = counts > 0
    shares = np.divide(totals, counts, out=np.zeros_like(totals), where=held)
    return np.asarray(shares.sum(axis=-1) / held.sum(axis=-1))
