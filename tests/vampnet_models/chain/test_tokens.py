import math

import numpy as np
import pytest

from vampnet_models.chain import tokens
from vampnet_models.chain.noise import MAX_SEED
from vampnet_models.chain.tokens import SamplingOptions, sample_all
from vampnet_models.errors import InputError


def peaked(vocab=8):
    """A model that is sure of token (codebook + frame) % vocab."""

    def forward(codes, mask):
        _, n, frames = codes.shape
        wanted = (np.arange(n)[:, None] + np.arange(frames)) % vocab
        return (50 * np.eye(vocab, dtype=np.float32)[wanted])[None]

    return forward


def test_the_schedule_is_the_cosine_one():
    counts = [tokens.remask_count(i, 12, 400, 400) for i in range(12)]
    assert counts[0] == math.floor(math.cos(math.pi / 24) * 400)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0
    assert tokens.remask_count(3, 12, 400, 5) == 4  # always at least one position fewer
    assert tokens.remask_count(10, 12, 2, 2) == 1  # and at least one left before the last step


def test_every_step_masks_what_the_schedule_says_and_the_end_is_complete():
    codes = np.full((1, 4, 30), 7)
    final, states = sample_all(
        peaked(), codes, tokens.full_mask(codes.shape), 4, SamplingOptions(6)
    )
    masked = [int(s.mask.sum()) for s in states]
    assert masked[0] == 120
    for i in range(5):
        assert masked[i + 1] == tokens.remask_count(i, 6, 120, masked[i])
    assert (final[0] == (np.arange(4)[:, None] + np.arange(30)) % 8).all()
    assert states[0].mask_ratio == 1.0


def test_kept_positions_and_conditioning_codebooks_are_never_touched():
    codes = np.full((1, 6, 20), 9)
    mask = tokens.periodic_mask(codes.shape, 5)
    final, states = sample_all(
        lambda c, m: peaked()(c[:, 2:], m), codes, mask, 4, SamplingOptions(3)
    )
    assert (final[:, :2] == 9).all()
    assert (final[:, :, ::5] == 9).all()
    assert (final[:, 2:][mask[:, 2:] == 1] < 8).all()
    assert all(s.mask[:, :2].sum() == 0 for s in states)


def test_one_seed_gives_the_same_tokens_and_another_other_ones():
    def flat(codes, mask):
        return np.zeros((1, 4, codes.shape[2], 64), np.float32)

    codes = np.zeros((1, 4, 25), np.int64)
    mask = tokens.full_mask(codes.shape)
    runs = [sample_all(flat, codes, mask, 4, SamplingOptions(4, seed=s))[0] for s in (1, 1, 2)]
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


@pytest.mark.parametrize("mass", [0.0, 0.9])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_tokens_are_drawn_with_the_probabilities_of_the_model(temperature, mass):
    """Chi-square of 40,000 draws against the softmax, filtered and renormalised by hand."""
    logits = np.random.default_rng(3).normal(size=12).astype(np.float32)
    codes = np.zeros((1, 4, 10_000), np.int64)

    def constant(codes, mask):
        return np.broadcast_to(logits, (1, 4, codes.shape[2], 12))

    options = SamplingOptions(1, temperature, typical_mass=mass, seed=11)
    drawn, _ = sample_all(constant, codes, tokens.full_mask(codes.shape), 4, options)
    p = np.exp(logits.astype(np.float64) / temperature)
    p /= p.sum()
    if mass:
        surprise = np.abs(-np.log(p) - (p * -np.log(p)).sum())
        order = np.argsort(surprise)
        kept = order[: int((np.cumsum(p[order]) < mass).sum()) + 1]
        assert 2 <= len(kept) < 12
        p = np.where(np.isin(np.arange(12), kept), p, 0)
        p /= p.sum()
    counts = np.bincount(drawn.reshape(-1), minlength=12)
    expected = p * drawn.size
    assert (counts[expected == 0] == 0).all()
    used = expected > 0
    chi_square = ((counts[used] - expected[used]) ** 2 / expected[used]).sum()
    # 99.9 % point of the distribution with as many degrees of freedom (Wilson and Hilferty).
    free = used.sum() - 1
    assert chi_square < free * (1 - 2 / (9 * free) + 3.09 * np.sqrt(2 / (9 * free))) ** 3


def test_a_window_draws_what_its_frames_draw_in_the_whole():
    """And no two windows, codebooks or seeds beside each other share their draws."""

    def flat(codes, mask):
        return np.zeros((1, 4, codes.shape[2], 64), np.float32)

    codes = np.zeros((1, 4, 60), np.int64)
    mask = tokens.full_mask(codes.shape)
    options = SamplingOptions(1, seed=3)
    whole, _ = sample_all(flat, codes, mask, 4, options)
    window, _ = sample_all(flat, codes[:, :, 25:], mask[:, :, 25:], 4, options, first_frame=25)
    np.testing.assert_array_equal(window, whole[:, :, 25:])
    apart, _ = sample_all(flat, codes[:, :, 25:], mask[:, :, 25:], 4, options)
    assert (apart == window).mean() < 0.1
    neighbour, _ = sample_all(flat, codes, mask, 4, SamplingOptions(1, seed=4))
    assert (neighbour[:, :, :35] == window).mean() < 0.1
    assert all((whole[0, i] == whole[0, i + 1]).mean() < 0.2 for i in range(3))


def test_a_token_that_changes_leaves_the_others_as_they_are():
    """What made a song another one after a single difference: draws that follow each other."""
    logits = np.random.default_rng(0).normal(size=(1, 4, 30, 64)).astype(np.float32)
    changed = logits.copy()
    changed[0, 2, 7, 5] += 40
    codes = np.zeros((1, 4, 30), np.int64)
    mask = tokens.full_mask(codes.shape)
    one, other = (
        sample_all(lambda c, m, its=its: its, codes, mask, 4, SamplingOptions(1))[0]
        for its in (logits, changed)
    )
    assert other[0, 2, 7] == 5
    assert (one != other).sum() == 1


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 0.5])
def test_a_seed_without_numbers_of_its_own_is_refused(seed):
    with pytest.raises(InputError, match=r"seed: .* is no whole number from 0 to 18446744073709"):
        SamplingOptions(seed=seed)


def test_nothing_masked_gives_no_state():
    codes = np.zeros((1, 4, 5), np.int64)
    final, states = sample_all(peaked(), codes, np.zeros_like(codes), 4, SamplingOptions())
    assert states == ()
    assert (final == codes).all()


def test_masks_keep_what_they_say():
    shape = (1, 4, 12)
    assert tokens.inpainting_mask(shape, 2, 3)[0, 0].tolist() == [0, 0] + [1] * 7 + [0] * 3
    assert tokens.inpainting_mask(shape, 0, 0).all()
    assert tokens.periodic_mask(shape, 4)[0, 0].tolist() == [0, 1, 1, 1] * 3
    assert tokens.periodic_mask(shape, 4, roll=1)[0, 0].tolist() == [1, 0, 1, 1] * 3
    assert (tokens.periodic_mask(shape, 4, width=3)[0, 0] == 0).sum() == 9
    assert tokens.periodic_mask(shape, 0).all()
    near = tokens.beat_mask(shape, (0, 5), width=1)
    assert np.flatnonzero(near[0, 0] == 0).tolist() == [0, 1, 4, 5, 6]
    assert tokens.beat_mask(shape, ()).all()
    upper = tokens.with_upper_codebooks(tokens.periodic_mask(shape, 4), 3)
    assert upper[0, 3].all()
    assert not upper[0, 2].all()
