"""Token tracks of both sides of the split, and random windows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.arrange import arrangement
from training.data.audio import Audio
from training.data.pool import TRACK_S, Pool
from training.data.sounds import HELD_OUT_RECORDINGS, recordings, sounds
from training.networks.codec import Codec
from vampnet_models.chain.tokens import Codes

_KIND_WEIGHTS = {"arrangements": 0.55, "recordings": 0.25, "melodies": 0.1, "pack": 0.1}
# Seeds of the three sets of arrangements: far apart, so that no seed serves twice.
TOKEN_SEED, HELD_OUT_SEED = 5_000_000, 9_000_000


def encode(codec: Codec, audio: Audio) -> Codes:
    """`[samples]` -> int64 `[n_codebooks, frames]`, in one pass."""
    return codec.encode(torch.from_numpy(audio.astype(np.float32))[None, None])[0].numpy()


@dataclass(frozen=True)
class TokenSet:
    """Code tracks `[n_codebooks, frames]` by kind."""

    tracks: dict[str, list[Codes]]

    def unigram(self, n_codebooks: int) -> NDArray[np.float64]:
        """Probabilities `[n, 1024]` as the training draws the kinds, add-one smoothed."""
        total = np.zeros((n_codebooks, 1024))
        for kind, tracks in self.tracks.items():
            counts = np.stack(
                [
                    np.bincount(np.concatenate([t[i] for t in tracks]), minlength=1024)
                    for i in range(n_codebooks)
                ]
            )
            smoothed = counts + 1.0
            total += _KIND_WEIGHTS[kind] * smoothed / smoothed.sum(1, keepdims=True)
        return np.asarray(total / total.sum(1, keepdims=True), np.float64)

    def windows(self, rng: np.random.Generator, size: int, frames: int) -> Tensor:
        """Int64 `[size, n_codebooks, frames]`; kinds by weight, tracks by length."""
        picked: list[Codes] = []
        kinds = list(self.tracks)
        chances = np.array([_KIND_WEIGHTS[kind] for kind in kinds])
        for kind in rng.choice(kinds, size, p=chances / chances.sum()):
            long_enough = [t for t in self.tracks[kind] if t.shape[1] > frames]
            lengths = np.array([t.shape[1] - frames for t in long_enough], float)
            track = long_enough[rng.choice(len(lengths), p=lengths / lengths.sum())]
            start = int(rng.integers(0, track.shape[1] - frames))
            picked.append(track[:, start : start + frames])
        return torch.from_numpy(np.stack(picked))


def training_tokens(codec: Codec, pool: Pool, folder: Path, n_arrangements: int) -> TokenSet:
    """The pool's tracks and fresh arrangements."""
    loops = sounds(folder, held_out=False)
    tracks = {kind: [encode(codec, t) for t in audio] for kind, audio in pool.tracks.items()}
    fresh: Iterable[Audio] = (
        arrangement(loops, TOKEN_SEED + index, TRACK_S) for index in range(n_arrangements)
    )
    tracks["arrangements"] += [encode(codec, track) for track in fresh]
    return TokenSet(tracks)


def held_out_recordings(folder: Path) -> dict[str, Audio]:
    """The recordings that no stage has seen, at -24 LUFS."""
    return recordings(folder, HELD_OUT_RECORDINGS)


def held_out_arrangements(folder: Path, count: int) -> list[Audio]:
    """Arrangements of sounds that no stage has seen."""
    loops = sounds(folder, held_out=True)
    return [arrangement(loops, HELD_OUT_SEED + index, TRACK_S) for index in range(count)]


def cached_tokens(
    path: Path, codec: Callable[[], Codec], pool: Callable[[], Pool], folder: Path, count: int
) -> TokenSet:
    """`training_tokens`, kept in one `.npz` file; codec and pool are asked for only to make it."""
    if not path.exists():
        made = training_tokens(codec(), pool(), folder, count)
        arrays = {
            f"{kind}/{index:03d}": track.astype(np.int16)
            for kind, tracks in made.tracks.items()
            for index, track in enumerate(tracks)
        }
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, allow_pickle=False, **arrays)
        partial.replace(path)
    tracks: dict[str, list[Codes]] = {kind: [] for kind in _KIND_WEIGHTS}
    with np.load(path) as arrays:
        for name in sorted(arrays.files):
            tracks[name.split("/")[0]].append(arrays[name].astype(np.int64))
    return TokenSet(tracks)
