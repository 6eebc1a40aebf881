"""Where two models choose the same token, and how far their scores are apart: pure statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.truth.bootstrap import Part, figure_of
from vampnet_models.records.accuracy import CodebookShare, RatioShare

_BLOCK_FRAMES = 29
"""Half a second: neighbouring tokens are not independent, so the bootstrap draws such blocks."""

_N_RESAMPLES = 1000
"""Draws of the bootstrap: 25 lie beyond each end of a 95 % interval."""

_RATIO_BINS = 10
"""Mask ratios are grouped by tenths."""


@dataclass(frozen=True)
class Comparison:
    """One feed's positions: where both agree, of those that count.

    `same` and `counted` are bool `[codebooks, frames]`; `stratum` is the group whose mean
    enters the total (the tenth of the mask ratio; 0 throughout for encoders). `source` is the
    recording and the clip that it lies in; None, the default, where neither is known.
    """

    same: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    stratum: int = 0
    source: tuple[str, str] | None = None


@dataclass(frozen=True)
class Share:
    """A share of positions; `value` is None when there is no position."""

    value: float | None
    n_positions: int


def shares_of(
    rows: list[Comparison],
    floor_rows: list[Comparison],
    *,
    given: list[Share] | None = None,
    by_ratio: bool = False,
) -> dict[str, Any]:
    """The shares of an AccuracyReport, by its fields' names; at least one comparison is needed."""
    whole = total(rows)
    codebooks = zip(per_codebook(rows), per_codebook(floor_rows), strict=True)
    intervals = codebook_intervals(rows)
    strata, floors = per_stratum(rows), per_stratum(floor_rows)
    return {
        "token_agreement": whole.value,
        "floor": total(floor_rows).value,
        "interval": interval(rows),
        "n_positions": whole.n_positions,
        "per_codebook": tuple(
            CodebookShare(
                i,
                s.value,
                f.value,
                given[i].value if given else None,
                s.n_positions,
                intervals[i],
            )
            for i, (s, f) in enumerate(codebooks)
            if s.n_positions
        ),
        "per_mask_ratio": tuple(
            RatioShare((s + 1) / _RATIO_BINS, v.value, floors[s].value, v.n_positions)
            for s, v in strata.items()
            if by_ratio
        ),
    }


def stratum_of(mask_ratio: float) -> int:
    """The tenth that a mask ratio in (0, 1] belongs to, 0 to 9."""
    return min(_RATIO_BINS - 1, max(0, int(np.ceil(mask_ratio * _RATIO_BINS - 1e-9)) - 1))


def total(comparisons: list[Comparison]) -> Share:
    """Mean over the strata of each stratum's share."""
    blocks = _blocks(comparisons)
    n = int(blocks[:, 2].sum())
    return Share(_stratified(blocks) if n else None, n)


def interval(comparisons: list[Comparison]) -> tuple[float, float] | None:
    """95 % bootstrap interval of `total`: by recordings, and clips within them.

    Of one clip, or where none is known, over half-second blocks within strata.
    """
    blocks = _blocks(comparisons)
    if not blocks[:, 2].sum():
        return None
    if len({c.source for c in comparisons}) > 1:
        found = figure_of(_parts(comparisons))
        return None if found.low is None or found.high is None else (found.low, found.high)
    rng = np.random.default_rng(0)
    groups = [blocks[blocks[:, 0] == s] for s in np.unique(blocks[:, 0])]
    means = np.zeros(_N_RESAMPLES)
    for group in groups:
        drawn = rng.integers(0, len(group), (_N_RESAMPLES, len(group)))
        means += group[drawn, 1].sum(axis=1) / group[drawn, 2].sum(axis=1)
    means /= len(groups)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def per_codebook(comparisons: list[Comparison]) -> list[Share]:
    """The pooled share of each codebook."""
    n = max((c.same.shape[0] for c in comparisons), default=0)
    return [
        _pooled(
            [c.same[i] & c.counted[i] for c in comparisons], [c.counted[i] for c in comparisons]
        )
        for i in range(n)
    ]


def codebook_intervals(comparisons: list[Comparison]) -> list[tuple[float, float] | None]:
    """95 % bootstrap intervals of `per_codebook`, as `interval` draws them."""
    n = max((c.same.shape[0] for c in comparisons), default=0)
    return [
        interval(
            [
                Comparison(c.same[i : i + 1], c.counted[i : i + 1], source=c.source)
                for c in comparisons
            ]
        )
        for i in range(n)
    ]


def given_earlier(comparisons: list[Comparison]) -> list[Share]:
    """The share of each codebook where all earlier codebooks agree (residuals cascade)."""
    n = max((c.same.shape[0] for c in comparisons), default=0)
    shares = []
    for i in range(n):
        before = [c.same[:i].all(axis=0) & c.counted[i] for c in comparisons]
        shares.append(
            _pooled([c.same[i] & b for c, b in zip(comparisons, before, strict=True)], before)
        )
    return shares


def per_stratum(comparisons: list[Comparison]) -> dict[int, Share]:
    """The pooled share of each stratum."""
    strata = sorted({c.stratum for c in comparisons})
    grouped = {s: [c for c in comparisons if c.stratum == s] for s in strata}
    return {
        s: _pooled([c.same & c.counted for c in group], [c.counted for c in group])
        for s, group in grouped.items()
    }


def _pooled(same: list[NDArray[np.bool_]], counted: list[NDArray[np.bool_]]) -> Share:
    n = sum(int(c.sum()) for c in counted)
    return Share(sum(int(s.sum()) for s in same) / n if n else None, n)


def _blocks(comparisons: list[Comparison]) -> NDArray[Any]:
    """`[blocks, 3]`: stratum, positions that agree, positions; only blocks with positions."""
    rows = []
    for c in comparisons:
        agree = (c.same & c.counted).sum(axis=0)
        count = c.counted.sum(axis=0)
        starts = np.arange(0, len(count), _BLOCK_FRAMES)
        agree, count = np.add.reduceat(agree, starts), np.add.reduceat(count, starts)
        rows += [(c.stratum, a, n) for a, n in zip(agree, count, strict=True) if n]
    return np.array(rows, np.float64).reshape(-1, 3)


def _parts(comparisons: list[Comparison]) -> list[Part]:
    """Of those whose clip is known."""
    return [
        Part(*c.source, float((c.same & c.counted).sum()), int(c.counted.sum()), c.stratum)
        for c in comparisons
        if c.source is not None
    ]


def _stratified(blocks: NDArray[Any]) -> float:
    strata = np.unique(blocks[:, 0])
    groups = [blocks[blocks[:, 0] == s] for s in strata]
    return float(np.mean([g[:, 1].sum() / g[:, 2].sum() for g in groups]))


def kl_nats(reference: NDArray[Any], variant: NDArray[Any]) -> NDArray[Any]:
    """KL(reference || variant) of each row of logits, in nats."""
    log_p, log_q = _log_softmax(reference), _log_softmax(variant)
    return np.asarray((np.exp(log_p) * (log_p - log_q)).sum(axis=-1))


def _log_softmax(logits: NDArray[Any]) -> NDArray[Any]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
