"""Arrangements, masks and figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("soxr")

from calibration.audio.loudness import TARGET_LUFS, integrated_loudness  # noqa: E402
from training.config import HOP_SAMPLES  # noqa: E402
from training.data import sounds  # noqa: E402
from training.data.arrange import arrangement  # noqa: E402
from training.data.synth import melody, note  # noqa: E402
from training.data.tokens import TokenSet  # noqa: E402
from training.figures import metrics  # noqa: E402
from training.figures.evaluate_tokens import audible, token_figures  # noqa: E402
from training.figures.masking import random_mask  # noqa: E402


@pytest.fixture(scope="module")
def loops() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    names = ("bd_x", "hat_x", "bass_x", "guit_x", "loop_x")
    return {name: note(rng, 110.0 * (i + 1), 0.6) for i, name in enumerate(names)}


def test_arrangement_is_seeded_levelled_and_on_the_token_grid(loops: dict[str, np.ndarray]) -> None:
    first, again, other = (arrangement(loops, seed, 6.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(first) % HOP_SAMPLES == 0
    assert np.abs(first).max() <= 1.0
    assert abs(integrated_loudness(first, 44100) - TARGET_LUFS) < 2.0


def test_arrangement_repeats_itself(loops: dict[str, np.ndarray]) -> None:
    audio = arrangement(loops, 4, 12.0)
    frames = audio.reshape(-1, HOP_SAMPLES)
    _, counts = np.unique(frames.round(4), axis=0, return_counts=True)
    assert (counts[counts > 1]).sum() > 0.3 * len(frames)


def test_melody_has_the_length_asked_for() -> None:
    assert melody(np.random.default_rng(0), 50_001).shape == (50_001,)


def test_held_out_names_are_disjoint() -> None:
    assert not set(sounds.TRAIN_RECORDINGS) & set(sounds.HELD_OUT_RECORDINGS)
    assert set(sounds.HELD_OUT_RECORDINGS) == {"brahms", "trumpet", "speech"}
    assert not set(sounds._HELD_OUT_SOUNDS) & set(sounds._UNUSED_SOUNDS)
    assert "humpback" not in sounds.TRAIN_RECORDINGS


def test_mask_follows_the_cosine_schedule_and_keeps_the_conditioning() -> None:
    codes = torch.zeros(2, 6, 4000, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    mask = random_mask(codes, torch.tensor([0.0, 0.5]), 2, generator)
    assert mask[:, :2].sum() == 0
    assert mask[0, 2:].float().mean() == 1.0
    assert mask[1, 2:].float().mean().item() == pytest.approx(math.cos(math.pi / 4), abs=0.02)


def test_mask_is_never_empty() -> None:
    codes = torch.zeros(8, 4, 3, dtype=torch.int64)
    mask = random_mask(codes, torch.full((8,), 0.9999), 0, torch.Generator().manual_seed(0))
    assert (mask.flatten(1).sum(1) >= 1).all()


def test_log_mel_distance_of_a_gain_is_that_gain() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(44100).astype(np.float32)
    assert metrics.log_mel_distance_db(noise, noise) == 0.0
    assert metrics.log_mel_distance_db(noise * 2.0, noise) == pytest.approx(6.02, abs=0.01)
    white = metrics.log_mel_db(noise * 10.0)[:, 4:-4].mean()
    assert white == pytest.approx(0.0, abs=1.0)


def test_usage_counts_perplexity() -> None:
    codes = np.array([np.arange(1024) % 256, np.zeros(1024, int)])
    perplexity, share = metrics.usage(codes, 1024)
    np.testing.assert_allclose(perplexity, [256.0, 1.0])
    np.testing.assert_allclose(share, [0.25, 1 / 1024])


class _Unigram(torch.nn.Module):
    """Answers one distribution everywhere: its cross-entropy must equal the baseline's."""

    n_conditioning, n_predicted, vocab_size = 1, 2, 1024

    def __init__(self, probabilities: np.ndarray) -> None:
        super().__init__()
        self.tables = torch.zeros(3, 1024, 8)
        self.logits = torch.from_numpy(np.log(probabilities[1:3])).float()

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return self.logits.T[None].repeat(len(codes), 1, codes.shape[2])

    def flat(self, codes: torch.Tensor) -> torch.Tensor:
        return codes[:, 1:].transpose(1, 2).flatten(1)


def test_a_unigram_model_gains_nothing_over_the_unigram() -> None:
    tracks = [np.random.default_rng(0).integers(0, 40, (3, 200))]
    unigram = TokenSet({"arrangements": tracks}).unigram(3)
    heard = [(track, np.ones(track.shape[1], bool)) for track in tracks]
    figures = token_figures(_Unigram(unigram), heard, unigram)  # type: ignore[arg-type]
    assert figures["gain_nats"] == pytest.approx(0.0, abs=1e-5)
    assert figures["unigram_nats"] == pytest.approx(math.log(40), abs=1.9)
    assert figures["chance_nats"] == pytest.approx(math.log(1024))
    assert figures["accuracy"] == figures["unigram_accuracy"]
    assert figures["own_gain_nats"] < figures["gain_nats"]


def test_own_entropy_and_near_ties_are_those_of_what_was_made() -> None:
    # Forty equally frequent tokens, and logits of which the two best are the same.
    tracks = [np.stack([np.arange(400) % 40] * 3)]
    heard = [(track, np.ones(track.shape[1], bool)) for track in tracks]
    even = np.full((3, 1024), 1 / 1024)
    figures = token_figures(_Unigram(even), heard, even)  # type: ignore[arg-type]
    assert figures["own_entropy_nats"] == pytest.approx(math.log(40))
    assert figures["own_gain_nats"] == pytest.approx(math.log(40) - math.log(1024), abs=1e-4)
    assert figures["near_ties"] == 1.0
    sure = np.full((3, 1024), 0.5 / 1023)
    sure[:, 7] = 0.5
    assert token_figures(_Unigram(sure), heard, sure)["near_ties"] == 0.0  # type: ignore[arg-type]


def test_silent_frames_are_not_counted() -> None:
    audio = np.concatenate([np.zeros(HOP_SAMPLES), np.full(HOP_SAMPLES + 9, 0.1)])
    np.testing.assert_array_equal(audible(audio.astype(np.float32)), [False, True, True])
    tracks = [np.random.default_rng(0).integers(0, 40, (3, 200))]
    unigram = TokenSet({"arrangements": tracks}).unigram(3)
    model = _Unigram(unigram)
    half = [(tracks[0], np.arange(200) < 100)]
    whole = [(tracks[0], np.ones(200, bool))]
    counts = [token_figures(model, x, unigram)["positions"] for x in (half, whole)]  # type: ignore[arg-type]
    assert counts[0] == pytest.approx(counts[1] / 2, rel=0.1)
