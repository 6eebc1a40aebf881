"""Drawing against what it stands for: float64 all the way, every token's noise, a full sort."""

import numpy as np
import pytest

from vampnet_models.chain.draw import draw_tokens, probabilities
from vampnet_models.chain.noise import Draw, token_noise

DRAW = Draw(7, 1, 3)
N, VOCAB = 1_000, 512


def logits(spread, n=N, vocab=VOCAB):
    return np.random.default_rng(2).normal(0, spread, (4, n // 4, vocab)).astype(np.float32)


def rows(n=N):
    books, frames = np.indices((4, n // 4)).reshape(2, -1)
    return books, frames


def drawn(values, where=None, mass=0.0, temperature=1.0):
    books, frames = where or rows(values.shape[1] * 4)
    places = books + 4, frames + 100
    return draw_tokens(values, (books, frames), DRAW, places, temperature, mass)


def kept(p, mass):
    """The tokens nearest to the entropy in surprise, until they hold `mass`."""
    away = np.abs(-np.log(p) - (p * -np.log(p)).sum(axis=-1, keepdims=True))
    order = np.argsort(away, axis=-1, kind="stable")
    sums = np.cumsum(np.take_along_axis(p, order, -1), axis=-1)
    before = np.concatenate([np.zeros_like(sums[:, :1]), sums[:, :-1]], axis=-1)
    out = np.zeros(p.shape)
    np.put_along_axis(out, order, before < mass, -1)
    return out


@pytest.mark.parametrize("mass", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0, 10.0])
def test_what_is_drawn_is_what_64_bit_floats_draw(spread, mass):
    """At all but 1 of 1,000 positions, of flat and of peaked rows; and so are its chances."""
    values, (books, frames) = logits(spread), rows()
    wide = values[books, frames].astype(np.float64) / 0.8
    p = np.exp(wide - wide.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    if mass:
        p *= kept(p, mass)
        p /= p.sum(axis=-1, keepdims=True)
    noise = token_noise(DRAW, books[:, None] + 4, frames[:, None] + 100, np.arange(VOCAB))
    wanted = (p / noise).argmax(axis=-1)
    tokens, log_p = drawn(values, mass=mass, temperature=0.8)
    same = tokens == wanted
    assert same.mean() >= 1 - 1e-3
    chances = np.log(p[np.arange(N), wanted])
    np.testing.assert_allclose(log_p[same], chances[same], atol=2e-5)


def test_a_position_draws_the_same_whatever_is_drawn_beside_it():
    """So blocks and the positions that are masked change nothing."""
    values, (books, frames) = logits(3.0), rows()
    tokens, log_p = drawn(values)
    some = np.random.default_rng(0).permutation(N)[:77]
    again, log_again = drawn(values, (books[some], frames[some]))
    np.testing.assert_array_equal(again, tokens[some])
    np.testing.assert_array_equal(log_again, log_p[some])


def test_logits_in_another_order_in_memory_draw_the_same():
    values = logits(3.0)
    turned = np.asfortranarray(values)
    np.testing.assert_array_equal(drawn(turned)[0], drawn(values)[0])
    half = values.astype(np.float16)
    np.testing.assert_array_equal(drawn(half)[0], drawn(half.astype(np.float32))[0])


def test_a_row_that_nothing_can_be_drawn_from_leaves_the_others_alone():
    values = logits(3.0)
    tokens, _ = drawn(values)
    broken = values.copy()
    broken[0, 5, 9], broken[1, 6, 9], broken[2, 7] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        found, log_p = drawn(broken)
    bad = [5, N // 4 + 6, N // 2 + 7]
    assert (found[bad] == 0).all() and np.isnan(log_p[bad]).all()
    np.testing.assert_array_equal(np.delete(found, bad), np.delete(tokens, bad))


@pytest.mark.parametrize("mass", [0.0, 0.9])
def test_a_token_of_minus_infinity_is_never_drawn(mass):
    values = logits(0.3, vocab=16)
    values[..., ::2] = -np.inf
    tokens, log_p = drawn(values, mass=mass)
    assert (tokens % 2 == 1).all() and np.isfinite(log_p).all()


@pytest.mark.parametrize("mass", [0.1, 0.5, 0.97])
def test_typical_filtering_keeps_the_tokens_nearest_to_the_entropy(mass):
    values = logits(2.0).reshape(N, VOCAB).astype(np.float64)
    p = probabilities(values, 1.0, 0.0)
    found = probabilities(values, 1.0, mass)
    np.testing.assert_array_equal(found > 0, kept(p, mass) > 0)
    np.testing.assert_allclose(found.sum(axis=-1), 1)


def test_of_tokens_that_are_equally_typical_the_first_are_kept():
    p = probabilities(np.zeros((2, 8), np.float32), 1.0, 0.5)
    np.testing.assert_allclose(p, [[0.25] * 4 + [0.0] * 4] * 2)
