"""Pure statistics of timing samples: no clocks, no files, and the same answer every time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

_P99_NEEDS = 1000
"""Samples below which a 99th percentile would be one or two of the raw samples by name."""

_OUTLIER_SCORE = 3.5
"""Modified z-score beyond which a sample is marked (Iglewicz and Hoaglin, 1993)."""

_SPREAD_LIMIT = 0.20
_DRIFT_LIMIT = 0.10
_OUTLIER_LIMIT = 0.10
_OUTLIER_DISTANCE = 0.10
_FOREIGN_LIMIT = 0.10
"""Shares beyond which a measurement is called noisy; see `noise_verdict`. An outlier counts there
beyond `_OUTLIER_DISTANCE` of the median: among runs within 2 % of each other, one 4 % off scores as
an outlier and changes nothing."""

_RESAMPLES = 2000
_SUMMED_RESAMPLES = 1000
_CONFIDENCE = 0.95
"""Draws of the bootstrap, those for sums of pairs, and the share that an interval holds."""

_STEADY_RUNS = 3
_STEADY_SHARE = 0.05
"""A warm-up is over when so many runs lie within this share of their median."""

SAME_RUN_MARGIN = 0.02
"""Ratios this close to 1 are no difference even when the interval is narrower: between two
interleaved processes of one model, page placement alone makes 1 to 2 %."""

OTHER_RUN_MARGIN = 0.10
"""The same for samples of two separate runs, which share neither clock state nor neighbours."""


@dataclass(frozen=True)
class Summary:
    """Percentiles of a sample, in its unit; `p99` only where `_P99_NEEDS` samples support it."""

    n: int
    p10: float
    median: float
    p90: float
    p99: float | None


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians and its bootstrap interval; below 1 is faster than the reference."""

    value: float
    low: float
    high: float
    confidence: float


class Verdict(StrEnum):
    """What a ratio lets one say."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference"
    TOO_NOISY = "too noisy to tell"


@dataclass(frozen=True)
class Noise:
    """Whether samples were too noisy to trust; a line per reason, each with its remedy."""

    noisy: bool
    spread: float
    drift: float
    outlier_share: float
    warnings: tuple[str, ...]


def percentile(samples: Sequence[float], q: float) -> float:
    """The q-th percentile (0 to 100), linear between neighbours. ValueError when empty."""
    if not len(samples):
        raise ValueError("no samples to take a percentile of")
    return float(np.percentile(np.asarray(samples, np.float64), q))


def summarise(samples: Sequence[float]) -> Summary:
    """Percentiles 10, 50, 90 and, with enough samples, 99. ValueError when empty."""
    return Summary(
        n=len(samples),
        p10=percentile(samples, 10),
        median=percentile(samples, 50),
        p90=percentile(samples, 90),
        p99=percentile(samples, 99) if len(samples) >= _P99_NEEDS else None,
    )


def paired_ratio(
    reference: Sequence[float],
    variant: Sequence[float],
    *,
    seed: int = 0,
) -> Ratio:
    """median(variant) / median(reference) of samples taken in the same rounds.

    The percentile bootstrap (Efron and Tibshirani, 1993) draws whole rounds, so that what
    slowed a round slows both sides of it. ValueError when the lengths differ or are zero.
    """
    if len(reference) != len(variant) or not reference:
        raise ValueError(f"{len(reference)} and {len(variant)} samples are not paired rounds")
    rounds = np.random.default_rng(seed).integers(0, len(reference), (_RESAMPLES, len(reference)))
    draws = _medians(variant, rounds) / _medians(reference, rounds)
    return _ratio(reference, variant, draws)


def summed_ratio(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]],
) -> Ratio:
    """Summed medians of several (reference, variant) pairs, each pair timed in its own rounds.

    ValueError when there is none, or one whose sides are not of the same rounds.
    """
    if not pairs or any(len(a) != len(b) or not a for a, b in pairs):
        raise ValueError("summed ratios need paired rounds")
    rng = np.random.default_rng(0)
    before, after = np.zeros(_SUMMED_RESAMPLES), np.zeros(_SUMMED_RESAMPLES)
    for reference, variant in pairs:
        rounds = rng.integers(0, len(reference), (_SUMMED_RESAMPLES, len(reference)))
        before += _medians(reference, rounds)
        after += _medians(variant, rounds)
    value = sum(percentile(b, 50) for _, b in pairs) / sum(percentile(a, 50) for a, _ in pairs)
    return _interval(value, after / before)


def unpaired_ratio(
    reference: Sequence[float],
    variant: Sequence[float],
) -> Ratio:
    """The same for samples of separate runs, each side drawn on its own. ValueError when empty."""
    if not reference or not variant:
        raise ValueError("no samples to compare")
    rng = np.random.default_rng(0)
    sides = [
        _medians(side, rng.integers(0, len(side), (_RESAMPLES, len(side))))
        for side in (reference, variant)
    ]
    return _ratio(reference, variant, sides[1] / sides[0])


_Timed = tuple[Sequence[float], Sequence[float]]
"""Samples, and the yardstick's of the same rounds."""


def levelled_ratio(
    reference: _Timed,
    variant: _Timed,
) -> Ratio:
    """The ratio of two runs' medians, each in units of its own yardstick's median.

    Whole rounds are drawn, so that what slowed a round slows the yardstick with it. ValueError
    when a side is empty or not paired with its yardstick.
    """
    rng = np.random.default_rng(0)
    draws, values = [], []
    for samples, yardstick in (reference, variant):
        if len(samples) != len(yardstick) or not samples:
            raise ValueError(f"{len(samples)} samples and {len(yardstick)} of the yardstick")
        rounds = rng.integers(0, len(samples), (_RESAMPLES, len(samples)))
        draws.append(_medians(samples, rounds) / _medians(yardstick, rounds))
        values.append(percentile(samples, 50) / percentile(yardstick, 50))
    return _interval(values[1] / values[0], draws[1] / draws[0])


def verdict(ratio: Ratio, margin: float = SAME_RUN_MARGIN) -> Verdict:
    """Faster or slower only when the whole interval lies beyond 1 -/+ `margin`."""
    if ratio.high < 1 - margin:
        return Verdict.FASTER
    if ratio.low > 1 + margin:
        return Verdict.SLOWER
    return Verdict.NO_DIFFERENCE


def outliers(samples: Sequence[float]) -> tuple[int, ...]:
    """Indices of samples far from the median by the modified z-score; marked, never dropped.

    Where more than half of the samples are equal, every other one would score infinitely:
    the mean absolute deviation takes the place of the median one, as its authors advise.
    """
    values = np.asarray(samples, np.float64)
    if not values.size:
        return ()
    distance = np.abs(values - np.median(values))
    scale = 1.4826 * float(np.median(distance)) or 1.2533 * float(np.mean(distance))
    if scale == 0:
        return ()
    return tuple(int(i) for i in np.flatnonzero(distance / scale > _OUTLIER_SCORE))


def noise_verdict(samples: Sequence[float], foreign_share: float | None = None) -> Noise:
    """Judge whether samples can carry a comparison. ValueError when empty.

    `foreign_share` is the share of the measured cores' time that other processes used (0..1),
    None when the system does not tell. Samples are durations, so above zero.
    """
    summary = summarise(samples)
    spread = (summary.p90 - summary.p10) / summary.median
    half = len(samples) // 2
    drift = percentile(samples[half:], 50) / percentile(samples[:half], 50) - 1 if half else 0.0
    far = _OUTLIER_DISTANCE * summary.median
    beyond = [i for i in outliers(samples) if abs(samples[i] - summary.median) > far]
    share = len(beyond) / len(samples)
    warnings = []
    if foreign_share is not None and foreign_share > _FOREIGN_LIMIT:
        warnings.append(
            f"other processes used {foreign_share:.0%} of the measured cores: stop them, or "
            "measure with fewer threads"
        )
    if spread > _SPREAD_LIMIT:
        warnings.append(
            f"the middle 80 % of the runs spread over {spread:.0%} of the median: measure more "
            "rounds on an idle machine"
        )
    if abs(drift) > _DRIFT_LIMIT:
        warnings.append(
            f"the second half of the runs took {abs(drift):.0%} {'more' if drift > 0 else 'less'} "
            "time: let the machine reach a steady temperature and clock, then measure again"
        )
    if share > _OUTLIER_LIMIT:
        warnings.append(
            f"{share:.0%} of the runs are outliers: close what wakes up periodically, then "
            "measure again"
        )
    return Noise(bool(warnings), spread, drift, share, tuple(warnings))


def is_steady(samples: Sequence[float]) -> bool:
    """Whether the last samples lie close to their median, with no trend.

    A warm-up that still speeds up keeps its last sample as the fastest; one more is asked for
    then, unless the gain is below a fifth of the tolerance.
    """
    if len(samples) < _STEADY_RUNS:
        return False
    last = list(samples[-_STEADY_RUNS:])
    middle = percentile(last, 50)
    if max(last) - min(last) > _STEADY_SHARE * middle:
        return False
    falling = all(a > b for a, b in itertools.pairwise(last))
    return not falling or last[0] - last[-1] < _STEADY_SHARE / 5 * middle


def _medians(samples: Sequence[float], drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    medians: NDArray[np.float64] = np.median(np.asarray(samples, np.float64)[drawn], axis=1)
    return medians


def _ratio(
    reference: Sequence[float],
    variant: Sequence[float],
    draws: NDArray[np.float64],
) -> Ratio:
    return _interval(percentile(variant, 50) / percentile(reference, 50), draws)


def _interval(value: float, draws: NDArray[np.float64]) -> Ratio:
    tail = 50 * (1 - _CONFIDENCE)
    return Ratio(
        value=value,
        low=float(np.percentile(draws, tail)),
        high=float(np.percentile(draws, 100 - tail)),
        confidence=_CONFIDENCE,
    )
