"""Sampled agreement against the sum that it is, against drawing, and at its edges."""

import numpy as np
import pytest

from optimize.truth.sampled import sampled_agreement, sampled_parts
from vampnet_models.chain.tokens import SamplingOptions

PLAIN = SamplingOptions()


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def naive(p, q):
    found = []
    for row_p, row_q in zip(p, q, strict=True):
        total = 0.0
        for i in np.flatnonzero((row_p > 0) & (row_q > 0)):
            total += 1 / np.maximum(row_p / row_p[i], row_q / row_q[i]).sum()
        found.append(total)
    return np.array(found)


def pair(n_rows=50, vocab=30, noise=0.5, spread=2.0, seed=0):
    rng = np.random.default_rng(seed)
    own = rng.normal(0, spread, (n_rows, vocab)).astype(np.float32)
    return own, own + rng.normal(0, noise, own.shape).astype(np.float32)


@pytest.mark.parametrize("noise", [1e-4, 0.5, 5.0])
def test_it_is_the_sum_over_pairs_of_tokens(noise):
    own, ours = pair(noise=noise)
    expected = naive(softmax(own.astype(float)), softmax(ours.astype(float)))
    assert sampled_agreement(own, ours, PLAIN) == pytest.approx(expected, rel=1e-9)
    assert sampled_agreement(ours, own, PLAIN) == pytest.approx(expected, rel=1e-9)


def test_it_is_how_often_both_draw_the_same_with_shared_noise():
    own, ours = pair(n_rows=1, vocab=5, noise=1.0)
    gumbel = np.random.default_rng(1).gumbel(size=(400_000, 5))
    drawn = ((own + gumbel).argmax(axis=-1) == (ours + gumbel).argmax(axis=-1)).mean()
    assert sampled_agreement(own, ours, PLAIN)[0] == pytest.approx(drawn, abs=0.004)


@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0])
def test_it_lies_between_the_bounds_of_the_total_variation(noise):
    own, ours = pair(n_rows=500, noise=noise)
    tv = np.abs(softmax(own) - softmax(ours)).sum(axis=-1) / 2
    found = sampled_agreement(own, ours, PLAIN)
    assert (found <= 1 - tv + 1e-6).all() and (found >= (1 - tv) / (1 + tv) - 1e-6).all()


def test_near_ties_lose_a_coin_toss_of_noise_and_not_the_token():
    own = np.array([[0.0, 0.001] + [-30.0] * 8])
    ours = own[:, [1, 0, *range(2, 10)]]
    assert own.argmax() != ours.argmax()
    assert sampled_agreement(own, ours, PLAIN)[0] > 0.999


def test_a_lower_temperature_turns_it_into_identity():
    own, ours = pair(n_rows=200, noise=0.3)
    cold = sampled_agreement(own, ours, SamplingOptions(temperature=1e-3))
    same = (own.argmax(axis=-1) == ours.argmax(axis=-1)).astype(float)
    assert 0 < same.mean() < 1 and cold == pytest.approx(same, abs=0.05)


def test_the_typical_filter_counts_as_it_does_in_sampling():
    own, ours = pair(n_rows=20, vocab=12, noise=0.2)
    found = sampled_agreement(own, ours, SamplingOptions(typical_mass=0.3))
    assert (np.abs(found - sampled_agreement(own, ours, PLAIN)) > 0.01).any()
    alike = sampled_agreement(own, own, SamplingOptions(typical_mass=0.3))
    assert alike == pytest.approx(np.ones(20))


def test_what_cannot_be_drawn_from_agrees_nowhere_and_minus_infinity_is_never_drawn():
    own, ours = pair(n_rows=5, vocab=6)
    ours[0, 2] = np.nan
    ours[1, 3] = np.inf
    ours[2] = -np.inf
    ours[3, 1:] = -np.inf
    found = sampled_agreement(own, ours, PLAIN)
    assert (found[:3] == 0).all()
    assert found[3] == pytest.approx(softmax(own[3])[0], rel=1e-5)
    assert found[4] > 0


def test_extreme_logits_stay_within_0_and_1():
    own = np.array([[1e30, 0, -1e30], [800.0, 0, -800], [0, -700.0, -745]])
    ours = np.array([[1e30, 1, -1e30], [-800.0, 0, 800], [0, -745.0, -700]])
    found = sampled_agreement(own, ours, PLAIN)
    assert found == pytest.approx([1, 0, 1])


def test_equal_rows_agree_wholly_in_every_block():
    own, _ = pair(n_rows=600, vocab=1024)
    assert sampled_agreement(own, own, PLAIN) == pytest.approx(np.ones(600), abs=1e-12)
    assert len(sampled_agreement(own[:0], own[:0], PLAIN)) == 0


def test_parts_are_summed_up_per_codebook():
    rows = np.array([0, 3, 10, 11, 25])
    found = list(
        sampled_parts(np.array([1, 0.5, 0.25, 0.25, 1]), rows, 3, (4, 10), ("song", "clip"), 3)
    )
    assert [(p.codebook, p.total, p.count) for p in found] == [(1, 1.5, 2), (2, 0.5, 2), (3, 1, 1)]
    assert {(p.recording, p.clip, p.stratum) for p in found} == {("song", "clip", 3)}
