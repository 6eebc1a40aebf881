"""The training audio as a list of tracks, and random crops of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soxr
import torch

from training.config import SAMPLE_RATE_HZ
from training.data.arrange import arrangement
from training.data.audio import Audio, normalise
from training.data.noise import noise
from training.data.render import drum_solo, rendition
from training.data.scores import Side, Work
from training.data.sounds import TRAIN_RECORDINGS, recordings, sounds
from training.data.speech import speech
from training.data.synth import melody

SPEEDS = (1.0, 0.8, 0.9, 1.12, 1.5, 2.0)
TRACK_S = 30.0
_QUIET_RMS = 0.004
WEIGHTS = {
    "renditions": 0.58,
    "recordings": 0.12,
    "arrangements": 0.10,
    "melodies": 0.05,
    "drums": 0.05,
    "speech": 0.07,
    "noise": 0.03,
}
# What a work of a collection weighs: there are 1,900 short tunes, and few quartets.
_COLLECTION_WEIGHTS = {"bach": 0.22, "monteverdi": 0.13}
_TUNES, _TUNES_WEIGHT = ("ryansMammoth", "oneills1850", "airdsAirs"), 0.30


@dataclass(frozen=True)
class Amounts:
    """Tracks of `TRACK_S` by kind; recordings are taken at every speed of `speeds`."""

    renditions: int
    arrangements: int
    melodies: int
    drums: int
    speech: int
    noise: int
    speeds: tuple[float, ...] = SPEEDS


@dataclass(frozen=True)
class Pool:
    """Tracks float16 `[samples]` by kind; kinds are drawn with the weights."""

    tracks: dict[str, list[np.ndarray]]
    weights: dict[str, float]


def draw_works(works: list[Work], side: Side, count: int, seed: int) -> list[Work]:
    """`count` works of one side, collections weighted so that no book of tunes drowns the rest."""
    chosen = [work for work in works if work.side == side]
    sizes = {work.collection: 0 for work in chosen}
    for work in chosen:
        sizes[work.collection] += 1
    tunes = sum(sizes.get(name, 0) for name in _TUNES)
    named = sum(_COLLECTION_WEIGHTS.get(name, 0.0) for name in sizes) + _TUNES_WEIGHT
    others = [n for n in sizes if n not in _COLLECTION_WEIGHTS and n not in _TUNES]
    other = sum(sizes[name] for name in others)

    def weight(work: Work) -> float:
        if work.collection in _TUNES:
            return _TUNES_WEIGHT / tunes
        if work.collection in _COLLECTION_WEIGHTS:
            return _COLLECTION_WEIGHTS[work.collection] / sizes[work.collection]
        return (1.0 - named) / other

    chances = np.array([weight(work) for work in chosen])
    rng = np.random.default_rng(seed)
    picks = rng.choice(len(chosen), count, p=chances / chances.sum())
    return [chosen[pick] for pick in picks]


def _at_speed(audio: Audio, speed: float) -> Audio:
    if speed == 1.0:
        return audio
    moved: Audio = soxr.resample(audio, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ, quality="MQ")
    return moved


def _melody(seed: int) -> Audio:
    return normalise(melody(np.random.default_rng(seed), int(TRACK_S * SAMPLE_RATE_HZ)))


def renditions(works: list[Work], side: Side, count: int, seed: int) -> Iterator[Audio]:
    """`count` tracks of `TRACK_S` of one side, made by all cores."""
    drawn = draw_works(works, side, count, seed)
    seeds = [seed * 100_000 + index for index in range(count)]
    with ProcessPoolExecutor() as processes:
        yield from processes.map(rendition, drawn, seeds, [TRACK_S] * count)


def build_pool(folder: Path, works: list[Work], seed: int, amounts: Amounts) -> Pool:
    """Render the training side of every kind."""
    loops = sounds(folder, held_out=False)
    makers: dict[str, tuple[int, Callable[[int], Audio]]] = {
        "arrangements": (
            amounts.arrangements,
            partial(arrangement, loops, duration_s=TRACK_S),
        ),
        "melodies": (amounts.melodies, _melody),
        "drums": (amounts.drums, partial(drum_solo, duration_s=TRACK_S)),
        "speech": (amounts.speech, partial(speech, duration_s=TRACK_S)),
        "noise": (amounts.noise, partial(noise, duration_s=TRACK_S)),
    }
    tracks: dict[str, list[np.ndarray]] = {
        "renditions": [
            track.astype(np.float16)
            for track in renditions(works, "train", amounts.renditions, seed)
        ],
        "recordings": [
            _at_speed(audio, speed).astype(np.float16)
            for audio in recordings(folder, TRAIN_RECORDINGS).values()
            for speed in amounts.speeds
        ],
    }
    for kind, (count, make) in makers.items():
        seeds = (seed * 1000 + index for index in range(count))
        tracks[kind] = [make(each).astype(np.float16) for each in seeds]
    return Pool({kind: tracks[kind] for kind in WEIGHTS}, WEIGHTS)


def cached_pool(path: Path, make: Callable[[], Pool]) -> Pool:
    """`make()`, kept in one `.npz` file so that a resumed run starts at once."""
    if not path.exists():
        pool = make()
        arrays = {
            f"{kind}/{index:03d}": track
            for kind, tracks in pool.tracks.items()
            for index, track in enumerate(tracks)
        }
        partial_path = path.with_suffix(".partial.npz")
        np.savez(partial_path, allow_pickle=False, **arrays)
        partial_path.replace(path)
    kept: dict[str, list[np.ndarray]] = {kind: [] for kind in WEIGHTS}
    with np.load(path) as arrays:
        for name in sorted(arrays.files):
            kept[name.split("/")[0]].append(arrays[name])
    return Pool(kept, WEIGHTS)


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
