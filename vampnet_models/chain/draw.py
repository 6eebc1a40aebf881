"""Drawing tokens from logits: each with its probability, by the noise of its place.

A token is the first of exponential clocks whose rates are the probabilities: the argmax of
p(t) / e(t), which is the Gumbel-max trick (Maddison et al. 2014, "A* Sampling"). As e(t) is at
least what `least_token_noise` says, few tokens can be first, and only these need its logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampnet_models.chain.noise import Draw, least_token_noise, token_noise

_Indices = NDArray[np.int64]

_ROWS = 64
"""Positions that are sifted at once: they stay in the processor's cache."""

_ROUNDING = np.float32(2.0**-20)
"""Relative: more than the bounds, in 32-bit floats, are off."""


def draw_tokens(
    logits: NDArray[Any],
    rows: tuple[_Indices, _Indices],
    draw: Draw,
    places: tuple[_Indices, _Indices],
    temperature: float,
    typical_mass: float,
) -> tuple[_Indices, NDArray[np.float64]]:
    """Tokens int64 `[n]` and the logarithms of their probabilities, of `n` positions.

    `logits` are `[codebooks, frames, vocab]`; `rows` are the codebook and the frame of each
    position in them, `places` those in the song. A row that holds NaN or plus infinity gives
    token 0, with NaN.
    """
    n = len(rows[0])
    parts = [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
    found = [
        _rivals(
            logits[rows[0][part], rows[1][part]].astype(np.float32, copy=False),
            draw,
            (places[0][part], places[1][part]),
            temperature,
            typical_mass,
        )
        for part in parts
    ]
    position = np.concatenate(
        [part.start + each[0] for part, each in zip(parts, found, strict=True)]
    )
    token = np.concatenate([each[1] for each in found])
    p = np.concatenate([each[2] for each in found])
    # 64-bit floats where two are compared: of rates that differ less, rounding would choose.
    rates = p / token_noise(draw, places[0][position], places[1][position], token)
    order = np.argsort(rates, kind="stable")
    position, token, p = position[order], token[order], p[order]
    tokens, chances = np.zeros(n, np.int64), np.full(n, np.nan)
    # Of those of one position the last is kept: its rate is the largest.
    tokens[position], chances[position] = token, p
    return tokens, np.log(chances)


def _rivals(
    logits: NDArray[np.float32],
    draw: Draw,
    places: tuple[_Indices, _Indices],
    temperature: float,
    typical_mass: float,
) -> tuple[_Indices, _Indices, NDArray[np.float32]]:
    """Which tokens of `logits [n, vocab]` may be drawn: row, token and probability of each."""
    weights = _weights(logits, temperature, typical_mass)
    fastest = weights / least_token_noise(draw, *places, logits.shape[-1])
    # With 1 - u for x: x <= -log(u) <= x / (1 - x), so that w / -log(u) is at least w / x - w.
    best = fastest.argmax(axis=-1)[:, None]
    bound = np.take_along_axis(fastest, best, -1)
    slowest = bound - np.take_along_axis(weights, best, -1) - _ROUNDING * bound
    row, token = np.divmod(np.flatnonzero(fastest >= slowest), logits.shape[-1])
    return row, token, weights[row, token] / weights.sum(axis=-1)[row]


def probabilities(logits: NDArray[Any], temperature: float, typical_mass: float) -> NDArray[Any]:
    """What tokens are drawn by, `[rows, vocab]` and of the float type of the logits."""
    weights = _weights(logits, temperature, typical_mass)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _weights(logits: NDArray[Any], temperature: float, typical_mass: float) -> NDArray[Any]:
    """Probabilities but for a factor per row, `[rows, vocab]`; 1 is the likeliest token's."""
    scaled = logits / max(temperature, 1e-6)
    scaled -= scaled.max(axis=-1, keepdims=True)
    weights = np.exp(scaled)
    return _typical(weights, scaled, typical_mass) if typical_mass > 0 else weights


def _typical(weights: NDArray[Any], logs: NDArray[Any], mass: float) -> NDArray[Any]:
    """Keep the tokens whose surprise is nearest to the entropy, up to `mass` (Meister et al. 2023).

    `logs` are those of the weights. Of tokens that are equally near the first ones are kept.
    """
    total = weights.sum(axis=-1, keepdims=True)
    finite = np.maximum(logs, np.log(np.finfo(logs.dtype).tiny))
    away = np.abs(finite - (weights * finite).sum(axis=-1, keepdims=True) / total)
    # Sorted as whole numbers, which keep the order of floats that are not negative and take the
    # token along: a third of argsort's time.
    keys = away.astype(np.float32).view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(weights.size, dtype=np.uint64).reshape(weights.shape)
    ordered = np.sort(keys, axis=-1)
    sums = np.cumsum(weights.take((ordered & np.uint64(0xFFFFFFFF)).astype(np.int64)), axis=-1)
    last = (sums < mass * total).sum(axis=-1, keepdims=True).clip(max=weights.shape[-1] - 1)
    return np.asarray(weights * (keys <= np.take_along_axis(ordered, last, -1)))
