"""What a variant's cost is measured on: what really stands, or sounds, in the recordings.

Transformers guess the recordings' own codes beneath masks; of encoders and decoders the sound is
held against the recording. Clips are cut so finely that there are enough of them for an interval.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vampnet_models.chain.pipeline import Audio
from vampnet_models.chain.tokens import Codes
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.records.npz import read_npz, write_npz

_FACTS = "evidence.json"

_ENOUGH = 24
"""Pieces, together, that the clips are cut into where they are few: an interval needs 20."""

_SHORTEST_FRAMES, _LONGEST_FRAMES = 43, 173
"""Of a part: a shorter one gives a model too little to go by; 3 s are enough for one clip."""


_STRIDE = 5
"""Of the schedule's steps from one window to the next; 12 and 8 have no divisor of it."""


@dataclass(frozen=True)
class Place:
    """Where a piece lies: the recording, the clip cut out of it, and the piece's first frame."""

    recording: str
    clip: str
    first_frame: int

    @property
    def piece(self) -> str:
        """Its name within the recording."""
        return f"{self.clip}+{self.first_frame}"


@dataclass(frozen=True)
class MaskedCodes:
    """A piece's own codes, int64 `[1, codebooks, frames]`, and where a model shall guess them.

    `mask` is of the same shape, 1 where a code is to be guessed, never in conditioning codebooks;
    what follows `n_frames` only fills a fixed length up.
    """

    place: Place
    codes: Codes
    mask: Codes
    n_frames: int


@dataclass(frozen=True)
class Passage:
    """A piece of the sound that an evaluation feed was made of, float32 `[n]`.

    `feed` is the number of that feed, from whose codes the piece has `n_frames`.
    """

    place: Place
    feed: int
    n_frames: int
    samples: Audio


@dataclass(frozen=True)
class Evidence:
    """What one model's variants are held against.

    Attributes:
        masked: for transformers.
        passages: for encoders and decoders.
        decoder: the FP32 decoder that makes an encoder's codes heard; None for other models.
        note: why there is no cost of this model; None, the default, where there is.
    """

    masked: tuple[MaskedCodes, ...] = ()
    passages: tuple[Passage, ...] = ()
    decoder: Artifact | None = None
    note: str | None = None

    @property
    def sha256(self) -> str:
        """The hash of all that a cost depends on."""
        digest = hashlib.sha256(json.dumps(self._facts()).encode())
        for name, array in self._arrays().items():
            digest.update(f"|{name}:{array.shape}|".encode() + array.tobytes())
        return digest.hexdigest()

    def save_npz(self, path: Path) -> None:
        """Write it, atomically; the decoder by its path. Raises InputError where that fails."""
        decoder = None if self.decoder is None else str(self.decoder.path.resolve())
        facts = {**self._facts(), "decoder": decoder}
        write_npz(path, {**self._arrays(), _FACTS: np.array(json.dumps(facts))})

    def _arrays(self) -> dict[str, Codes | Audio]:
        masked = {
            f"{name}/{i}": getattr(each, name)
            for i, each in enumerate(self.masked)
            for name in ("codes", "mask")
        }
        return masked | {f"samples/{i}": each.samples for i, each in enumerate(self.passages)}

    def _facts(self) -> dict[str, object]:
        return {
            "masked": [[asdict(m.place), m.n_frames] for m in self.masked],
            "passages": [[asdict(p.place), p.feed, p.n_frames] for p in self.passages],
            "decoder_sha256": None if self.decoder is None else self.decoder.sha256,
            "note": self.note,
        }


NO_EVIDENCE = Evidence()
"""Of models that no recording tells a cost of."""


def kept_evidence(folder: Path, model: str, key: str, make: Callable[[], Evidence]) -> Evidence:
    """A model's evidence; `key` stands for all that it comes from, as that of its feeds."""
    path = folder / f"{model}.{key[:16]}.evidence.npz"
    with contextlib.suppress(InputError, KeyError):
        return _load(path)
    found = make()
    found.save_npz(path)
    return found


def _load(path: Path) -> Evidence:
    """Read what `save_npz` wrote. Raises InputError or KeyError where something is not there."""
    arrays = read_npz(path)
    facts = json.loads(str(arrays[_FACTS]))
    decoder = None if facts["decoder"] is None else open_artifact(Path(facts["decoder"]))
    if decoder is not None and decoder.sha256 != facts["decoder_sha256"]:
        raise InputError(f"{decoder.path}: is another decoder now")
    return Evidence(
        masked=tuple(
            MaskedCodes(Place(**place), arrays[f"codes/{i}"], arrays[f"mask/{i}"], n_frames)
            for i, (place, n_frames) in enumerate(facts["masked"])
        ),
        passages=tuple(
            Passage(Place(**place), feed, n_frames, arrays[f"samples/{i}"])
            for i, (place, feed, n_frames) in enumerate(facts["passages"])
        ),
        decoder=decoder,
        note=facts["note"],
    )


def pieces(lengths: Sequence[int], most_frames: int) -> list[list[range]]:
    """The frames of the pieces of each clip, whose frames `lengths` counts.

    Each clip is cut evenly into parts, and a piece is the middle of a part, of at most
    `most_frames`. Parts are so short that there are 24 of them or more, where the audio has them.
    """
    parts = range(_LONGEST_FRAMES, _SHORTEST_FRAMES, -1)
    enough = (part for part in parts if sum(max(1, n // part) for n in lengths) >= _ENOUGH)
    part = next(enough, _SHORTEST_FRAMES)
    found = []
    for length in lengths:
        n = max(1, length // part)
        ends = [length * i // n for i in range(n + 1)]
        found.append([_middle(ends[i], ends[i + 1], most_frames) for i in range(n)])
    return found


def _middle(first: int, stop: int, most: int) -> range:
    skipped = max(0, stop - first - most) // 2
    return range(first + skipped, min(stop, first + skipped + most))


def masked_codes(
    windows: Sequence[tuple[Place, Codes]],
    n_states: int,
    *,
    given: int,
    ratios: Sequence[float],
    length: int | None,
    seed: int,
) -> tuple[MaskedCodes, ...]:
    """`n_states` masks over the windows' codes `[1, n, frames]`, each in turn.

    The first `given` codebooks are never masked; of the others a share, one of `ratios` in turn,
    is drawn at random over codebooks and frames. Windows are filled up, masked, to `length` where
    that is fixed.
    """
    found = []
    rounds = -(-n_states // len(windows))
    for number in range(n_states):
        place, codes = windows[number % len(windows)]
        # Neighbours lie in one recording: each of them gets ratios far apart.
        turn = _STRIDE * (number % len(windows)) + number // len(windows) * len(ratios) // rounds
        rng = np.random.default_rng([seed, number])
        mask = np.zeros(codes.shape, np.int64)
        free = mask[:, given:]
        n_masked = max(1, round(ratios[turn % len(ratios)] * free.size))
        drawn = np.zeros(free.size, np.int64)
        drawn[rng.permutation(free.size)[:n_masked]] = 1
        mask[:, given:] = drawn.reshape(free.shape)
        n_frames = codes.shape[2]
        if length is not None:
            widths = ((0, 0), (0, 0), (0, length - n_frames))
            codes, mask = np.pad(codes, widths), np.pad(mask, widths, constant_values=1)
            mask[:, :given] = 0
        found.append(MaskedCodes(place, codes, mask, n_frames))
    return tuple(found)
