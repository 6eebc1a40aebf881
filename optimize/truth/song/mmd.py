"""How far two collections of pieces lie apart: the maximum mean discrepancy of their spectra.

Gretton et al. 2012, "A Kernel Two-Sample Test": the squared distance of the means in the space of a
Gaussian kernel, by their unbiased estimate over pairs (equation 4). It is zero, give or take the
noise of few pieces, where both come from one distribution, and may fall below. Pairs of pieces that
were played from the same music are left out: they are alike whatever played them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.feeds.evidence import Place
from optimize.truth.bootstrap import draws
from vampnet_models.records.accuracy import Figure

_Vectors = NDArray[np.float64]


def bandwidth(vectors: _Vectors) -> float:
    """The median distance of two vectors of `[n, values]`, as in the paper; 1 where that is 0."""
    distances = np.sqrt(_squared(vectors, vectors))[np.triu_indices(len(vectors), 1)]
    return float(np.median(distances)) or 1.0


def pair_terms(x: _Vectors, y: _Vectors, sigma: float) -> _Vectors:
    """k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), `[n, n]`: the mean is MMD squared."""
    across = _kernel(x, y, sigma)
    return _kernel(x, x, sigma) + _kernel(y, y, sigma) - across - across.T


def mmd(terms: _Vectors, places: Sequence[Place], floor: float | None = None) -> Figure:
    """MMD squared of pieces that were played from `places`, by their `terms`.

    The interval is by recordings, then pieces of them. `n` counts pieces. Without two places the
    value is None.
    """
    pieces = list(dict.fromkeys(places))
    if len(pieces) < 2:
        return Figure(None)
    of_piece = np.array([[place == piece for piece in pieces] for place in places], float)
    apart = 1 - of_piece @ of_piece.T
    # Sums over the pairs of two pieces, and their number: [pieces, pieces].
    sums, counts = of_piece.T @ (terms * apart) @ of_piece, of_piece.T @ apart @ of_piece
    times = draws([piece.recording for piece in pieces])
    totals = np.einsum("ri,ij,rj->r", times, sums, times)
    pairs = np.einsum("ri,ij,rj->r", times, counts, times)
    # A resample of one piece alone has no pair.
    drawn = totals[pairs > 0] / pairs[pairs > 0]
    low, high = np.percentile(drawn, [2.5, 97.5])
    rows = {
        name: [i for i, piece in enumerate(pieces) if piece.recording == name]
        for name in sorted({piece.recording for piece in pieces})
    }
    return Figure(
        value=float(sums.sum() / counts.sum()),
        low=float(low),
        high=float(high),
        floor=floor,
        n=len(places),
        n_clips=len(pieces),
        per_recording={n: float(sums[r].sum() / counts[r].sum()) for n, r in rows.items()},
    )


def _kernel(x: _Vectors, y: _Vectors, sigma: float) -> _Vectors:
    return np.asarray(np.exp(-_squared(x, y) / (2 * sigma**2)))


def _squared(x: _Vectors, y: _Vectors) -> _Vectors:
    """Squared distances `[n, m]`."""
    return np.asarray(((x[:, None] - y[None]) ** 2).sum(axis=-1))
