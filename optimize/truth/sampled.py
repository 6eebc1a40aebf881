"""Sampled agreement: how often two models draw the same token with the same noise, exactly.

A token is drawn as the argmin of E_i / p_i with independent exponential E_i: the Gumbel-max trick
(Maddison et al. 2014, "A* Sampling"). With the same E, i wins under both p and q where every other
E_j is at least E_i m_ij, m_ij = max(p_j / p_i, q_j / q_i): given E_i, with the probability
exp(-E_i sum of m_ij over the others). Integrated over E_i that is 1 / (sum over all j of m_ij), and
the agreement is its sum over i. With the total variation distance TV it lies between
(1 - TV) / (1 + TV) and 1 - TV (Bavarian et al. 2020, "Optimality of Correlated Sampling").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.truth.bootstrap import Part
from vampnet_models.chain.draw import probabilities
from vampnet_models.chain.tokens import SamplingOptions

_BLOCK_ROWS = 16
"""Rows of logits that are sorted at once: they stay in the processor's cache."""


def sampled_agreement(
    reference: NDArray[Any], variant: NDArray[Any], sampling: SamplingOptions
) -> NDArray[np.float64]:
    """The probability that both draw the same token, float64 `[rows]`, of logits `[rows, vocab]`.

    At the temperature and with the typical filter of `sampling`. A row of which either holds NaN or
    infinity agrees 0; minus infinity is a token that is never drawn.
    """
    blocks = range(0, len(reference), _BLOCK_ROWS)
    pairs = ((reference[i : i + _BLOCK_ROWS], variant[i : i + _BLOCK_ROWS]) for i in blocks)
    found = [
        _agreement(_probabilities(own, sampling), _probabilities(ours, sampling))
        for own, ours in pairs
    ]
    return np.concatenate([np.zeros(0), *found])


def _agreement(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sorted by r = q / p: max(p_j / p_i, q_j / q_i) is q_j / q_i from i on, p_j / p_i before."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        order = np.argsort(np.where(p > 0, q / p, np.inf), axis=-1)
        p, q = (np.take_along_axis(each, order, axis=-1) for each in (p, q))
        from_here = np.cumsum(q[:, ::-1], axis=-1)[:, ::-1]
        before = np.zeros_like(p)
        np.cumsum(p[:, :-1], axis=-1, out=before[:, 1:])
        terms = np.where((p > 0) & (q > 0), 1 / (from_here / q + before / p), 0.0)
    return np.asarray(terms.sum(axis=-1))


def _probabilities(logits: NDArray[Any], sampling: SamplingOptions) -> NDArray[np.float64]:
    """What tokens are drawn by; zeros in a row that nothing can be drawn from."""
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    drawable = np.isfinite(top)
    finite = np.where(drawable, logits, 0).astype(np.float64)
    p = probabilities(finite, sampling.temperature, sampling.typical_mass)
    return np.where(drawable, p, 0.0)


def sampled_parts(
    agreement: NDArray[np.float64],
    rows: NDArray[Any],
    predicted: int,
    shape: tuple[int, ...],
    source: tuple[str, str],
    stratum: int,
) -> Iterator[Part]:
    """The agreement of one state, summed up for each codebook.

    `rows` are the positions that `agreement` is of, as indices into the last `predicted` codebooks
    of all, whose `shape` is `[codebooks, frames]`; `source` is the recording and the clip.
    """
    books = rows // shape[1] + shape[0] - predicted
    for book in np.unique(books):
        of_book = agreement[books == book]
        yield Part(*source, float(of_book.sum()), len(of_book), stratum, int(book))
