"""Token tracks of the training side, and random windows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.arrange import arrangement
from training.data.audio import Audio
from training.data.pool import TRACK_S, Pool, renditions
from training.data.scores import Work
from training.data.sounds import sounds
from training.networks.codec import Codec
from vampnet_models.chain.tokens import Codes

# Noise, drums and speech are for the codec: their tokens are nearly unpredictable.
_KIND_WEIGHTS = {"renditions": 0.72, "arrangements": 0.14, "recordings": 0.08, "melodies": 0.06}
# Seeds of what is rendered for the tokens alone: far from the pool's, so that none serves twice.
TOKEN_SEED = 5_000_000
FRESH_RENDITIONS, FRESH_ARRANGEMENTS = 320, 40


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


def pool_tokens(codec: Codec, pool: Pool) -> Iterator[tuple[str, Codes]]:
    """The kind and the codes of the pool's tracks."""
    for kind in _KIND_WEIGHTS:
        for track in pool.tracks[kind]:
            yield kind, encode(codec, track)


def fresh_tokens(codec: Codec, works: list[Work], folder: Path) -> Iterator[tuple[str, Codes]]:
    """The kind and the codes of tracks that are rendered for the tokens alone: 3 hours."""
    for audio in renditions(works, "train", FRESH_RENDITIONS, TOKEN_SEED):
        yield "renditions", encode(codec, audio)
    loops = sounds(folder, held_out=False)
    for index in range(FRESH_ARRANGEMENTS):
        yield "arrangements", encode(codec, arrangement(loops, TOKEN_SEED + index, TRACK_S))


def as_set(tracks: Iterable[tuple[str, Codes]]) -> TokenSet:
    """The tracks by kind."""
    by_kind: dict[str, list[Codes]] = {}
    for kind, codes in tracks:
        by_kind.setdefault(kind, []).append(codes)
    return TokenSet(by_kind)


def cached_tokens(path: Path, make: Callable[[], TokenSet]) -> TokenSet:
    """`make()`, kept in one `.npz` file."""
    if not path.exists():
        arrays = {
            f"{kind}/{index:04d}": track.astype(np.int16)
            for kind, tracks in make().tracks.items()
            for index, track in enumerate(tracks)
        }
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, allow_pickle=False, **arrays)
        partial.replace(path)
    with np.load(path) as stored:
        return as_set(
            (name.split("/")[0], stored[name].astype(np.int64)) for name in sorted(stored.files)
        )
