"""Beats from a tracker's logits, and which beats two trackers share: pure functions.

Peak picking as in Steinmetz and Reiss 2021, "WaveBeat": a threshold on the sigmoid and a least
distance. Matching by a tolerance window as in Dixon 2007, "Evaluation of the audio beat tracking
system BeatRoot".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.truth.agreement import Comparison
from vampnet_models.architectures.wavebeat import SAMPLE_RATE_HZ

_Logits = NDArray[Any]
Times = NDArray[np.float64]

KINDS = ("beat", "downbeat")
"""The two outputs, in the order of the logits."""

_THRESHOLD = 0.5
"""A peak's least probability."""

_MIN_DISTANCE_S = 0.2
"""Two beats lie at least this far apart: 300 beats per minute."""

_TOLERANCE_S = 0.02
"""Beats this close count as the same beat."""

_POSITION_S = 768 / 44_100
"""What counts as one place where a beat may be, for the interval."""

_ROUNDING_S = 1e-9


@dataclass(frozen=True)
class Match:
    """Two sorted lists of beats compared; `reference` and `variant` are true where matched."""

    reference: NDArray[np.bool_]
    variant: NDArray[np.bool_]

    @property
    def hits(self) -> int:
        """Pairs of the same beat."""
        return int(self.reference.sum())

    @property
    def recall(self) -> float | None:
        """Share of the reference's beats that the variant has; None without any."""
        return self.hits / len(self.reference) if len(self.reference) else None

    @property
    def precision(self) -> float | None:
        """Share of the variant's beats that the reference has; None without any."""
        return self.hits / len(self.variant) if len(self.variant) else None

    @property
    def f_measure(self) -> float | None:
        """Harmonic mean of precision and recall, which counts both ways; None without beats."""
        n = len(self.reference) + len(self.variant)
        return 2 * self.hits / n if n else None


def beat_times_s(logits: _Logits, frame_s: float) -> tuple[Times, Times]:
    """Beats and downbeats in seconds, ascending, of logits float `[2, frames]`."""
    beats, downbeats = (np.float64(frame_s) * peaks(row, frame_s) for row in logits)
    return beats, downbeats


def peaks(
    logits: _Logits,
    frame_s: float,
    threshold: float = _THRESHOLD,
    min_distance_s: float = _MIN_DISTANCE_S,
) -> NDArray[np.int64]:
    """Frames of the local maxima of `[frames]` whose sigmoid is at least `threshold`.

    Maxima are sought on the logits: their sigmoids saturate to equal values. A plateau counts
    once, in its middle. Of maxima closer than `min_distance_s` the highest stays, of equal ones
    the first. NaN and infinity are no peak.
    """
    finite = np.isfinite(logits)
    values = np.where(finite, logits, -np.inf).astype(np.float64)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])
    ends = np.append(starts[1:], len(values)) - 1
    heights = np.concatenate([[-np.inf], values[starts], [-np.inf]])
    is_top = (heights[1:-1] > heights[:-2]) & (heights[1:-1] > heights[2:])
    is_top &= heights[1:-1] >= np.log(threshold / (1 - threshold))
    middles, tops = ((starts + ends) // 2)[is_top], heights[1:-1][is_top]
    kept: list[int] = []
    for frame in middles[np.argsort(-tops, kind="stable")]:
        if all(abs(frame - other) * frame_s >= min_distance_s - _ROUNDING_S for other in kept):
            kept.append(int(frame))
    return np.array(sorted(kept), np.int64)


def frame_s(samples: int, frames: int) -> float:
    """Seconds per frame of a tracker that gives `frames` for `samples` at 22.05 kHz.

    The hop is the least whole number of samples that gives so few frames: exact where frames >=
    hop (3 s of audio at the hop 256), else short by so little that no time is a frame off.
    """
    return -(-samples // frames) / SAMPLE_RATE_HZ


def match(reference_s: Times, variant_s: Times, tolerance_s: float = _TOLERANCE_S) -> Match:
    """Pair the beats of two ascending lists one to one, each pair within `tolerance_s`.

    Taking the earliest possible pair each time gives the most pairs: the windows have one width.
    """
    in_reference, in_variant = np.zeros(len(reference_s), bool), np.zeros(len(variant_s), bool)
    i = j = 0
    while i < len(reference_s) and j < len(variant_s):
        gap = variant_s[j] - reference_s[i]
        if abs(gap) <= tolerance_s + _ROUNDING_S:
            in_reference[i] = in_variant[j] = True
            i, j = i + 1, j + 1
        elif gap < 0:
            j += 1
        else:
            i += 1
    return Match(in_reference, in_variant)


def joined(matches: list[Match]) -> Match:
    """Several comparisons counted as one."""
    return Match(
        np.concatenate([np.zeros(0, bool), *(m.reference for m in matches)]),
        np.concatenate([np.zeros(0, bool), *(m.variant for m in matches)]),
    )


def comparison(times: tuple[Times, Times], found: Match) -> Comparison:
    """A match's beats, of both lists, as positions in time: what a bootstrap draws from.

    `times` are the two lists that were matched. Row 0 holds the reference's, row 1 the
    variant's; the share of positions that agree is the F-measure.
    """
    frames = [np.floor(t / _POSITION_S).astype(int) for t in times]
    length = 1 + max((int(f[-1]) for f in frames if len(f)), default=0)
    same, counted = np.zeros((2, length), bool), np.zeros((2, length), bool)
    for row, (at, hit) in enumerate(zip(frames, (found.reference, found.variant), strict=True)):
        counted[row, at] = True
        same[row, at] = hit
    return Comparison(same, counted)
