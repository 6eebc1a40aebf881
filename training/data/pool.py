"""The training audio as a list of tracks, and random crops of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch

from calibration.audio.samples import sample_pack
from training.config import SAMPLE_RATE_HZ
from training.data.arrange import arrangement
from training.data.audio import Audio, normalise
from training.data.sounds import TRAIN_RECORDINGS, recordings, sounds
from training.data.synth import melody

# The pack that ships for calibration and evaluation is seed 0.
_FIRST_SEED = 1000


def _pack_tracks(count: int) -> list[Audio]:
    """`count` tracks `[16 * 4 s]`, each the sixteen clips of one seed end to end."""
    return [
        np.concatenate([clip.samples for clip in sample_pack(_FIRST_SEED + index)])
        for index in range(count)
    ]


_SPEEDS = (1.0, 0.8, 0.9, 1.12, 1.5, 2.0)
TRACK_S = 30.0
_QUIET_RMS = 0.004
_WEIGHTS = {"recordings": 0.35, "arrangements": 0.25, "melodies": 0.28, "pack": 0.12}


@dataclass(frozen=True)
class Pool:
    """Tracks float16 `[samples]` by kind; kinds are drawn with the weights."""

    tracks: dict[str, list[np.ndarray]]
    weights: dict[str, float]


def _at_speed(audio: Audio, speed: float) -> Audio:
    if speed == 1.0:
        return audio
    moved: Audio = soxr.resample(audio, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ, quality="MQ")
    return moved


def build_pool(
    folder: Path,
    seed: int,
    n_arrangements: int,
    n_melodies: int,
    n_packs: int,
    speeds: tuple[float, ...] = _SPEEDS,
) -> Pool:
    """Render the training side: recordings at the speeds, arrangements, melodies, packs."""
    loops = sounds(folder, held_out=False)
    rng = np.random.default_rng(seed)
    tracks: dict[str, list[np.ndarray]] = {
        "recordings": [
            _at_speed(audio, speed).astype(np.float16)
            for audio in recordings(folder, TRAIN_RECORDINGS).values()
            for speed in speeds
        ],
        "arrangements": [
            arrangement(loops, seed * 1000 + index, TRACK_S).astype(np.float16)
            for index in range(n_arrangements)
        ],
        "melodies": [
            normalise(melody(rng, int(TRACK_S * SAMPLE_RATE_HZ))).astype(np.float16)
            for _ in range(n_melodies)
        ],
        "pack": [track.astype(np.float16) for track in _pack_tracks(n_packs)],
    }
    return Pool(tracks, _WEIGHTS)


def cached_pool(
    path: Path, folder: Path, seed: int, n_arrangements: int, n_melodies: int, n_packs: int
) -> Pool:
    """`build_pool`, kept in one `.npz` file so that a resumed run starts at once."""
    if not path.exists():
        pool = build_pool(folder, seed, n_arrangements, n_melodies, n_packs)
        arrays = {
            f"{kind}/{index:03d}": track
            for kind, tracks in pool.tracks.items()
            for index, track in enumerate(tracks)
        }
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, allow_pickle=False, **arrays)
        partial.replace(path)
    kept: dict[str, list[np.ndarray]] = {kind: [] for kind in _WEIGHTS}
    with np.load(path) as arrays:
        for name in sorted(arrays.files):
            kept[name.split("/")[0]].append(arrays[name])
    return Pool(kept, _WEIGHTS)


def _random_crop(pool: Pool, rng: np.random.Generator, samples: int) -> Audio:
    """One crop float32 `[samples]` that is not silence, its gain jittered by -6 to +4 dB.

    Tracks are drawn by their length; one crop in seven is two mixed."""
    kinds = list(pool.weights)
    while True:
        kind = kinds[rng.choice(len(kinds), p=list(pool.weights.values()))]
        lengths = np.array([max(0, len(t) - samples) for t in pool.tracks[kind]], float)
        track = pool.tracks[kind][rng.choice(len(lengths), p=lengths / lengths.sum())]
        start = int(rng.integers(0, len(track) - samples))
        crop = track[start : start + samples].astype(np.float32)
        if np.sqrt(np.mean(crop**2)) > _QUIET_RMS:
            break
    if rng.random() < 1 / 7:
        crop = 0.7 * (crop + _random_crop(pool, rng, samples))
    return crop * np.float32(10.0 ** (rng.uniform(-6.0, 4.0) / 20.0))


def batch(pool: Pool, rng: np.random.Generator, size: int, samples: int) -> torch.Tensor:
    """Float32 `[size, 1, samples]`."""
    return torch.from_numpy(np.stack([_random_crop(pool, rng, samples) for _ in range(size)]))[
        :, None
    ]
