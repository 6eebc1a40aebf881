"""A set of model inputs with their labels: hash, coverage, files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vampnet_models.errors import InputError
from vampnet_models.family import TYPICAL
from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.records.npz import numbered, read_npz, write_npz
from vampnet_models.records.variant import FeedCoverage
from vampnet_models.spec import Role

_RATIO_BINS = 10
GIVEN = "given"
"""The upstream of feeds that are a user's own."""

LABELS_KEY = "feedset.json"
"""Under this name stand the labels in the file of a set."""


@dataclass(frozen=True)
class FeedLabel:
    """Where a feed comes from.

    `step` counts from 0; a step equal to the number of steps is a finished sequence with one
    frame masked again. `mask_ratio` is the masked share of the predicted positions, `prompt`
    what was kept at the start, `codes_from` the model that the given codes come from,
    `audio_class` what kind of sound the clip is, `recording` what the clip is cut out of.
    """

    clip: str
    step: int | None = None
    mask_ratio: float | None = None
    prompt: str | None = None
    codes_from: str | None = None
    audio_class: str | None = None
    recording: str | None = None


@dataclass(frozen=True)
class FeedSet:
    """Inputs of one model: `feeds[i]` is described by `labels[i]`.

    `audio` names the audio set, `upstream` whose codes they are; `warnings` are for the user.
    `codebook_size` is what codes are below.
    """

    role: Role
    feeds: tuple[Feeds, ...]
    labels: tuple[FeedLabel, ...]
    audio: str = ""
    upstream: str = ""
    warnings: tuple[str, ...] = ()
    codebook_size: int = TYPICAL.codebook_size

    @property
    def is_given(self) -> bool:
        """Whether they are a user's own, and came through no chain."""
        return self.upstream == GIVEN

    @property
    def sha256(self) -> str:
        """The hash of all arrays with their names, types and shapes; labels do not count."""
        return digest_feeds(self.feeds, self.role.value).hexdigest()

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The recording and the clip of each feed; feeds that name none are of one recording."""
        return tuple((label.recording or self.audio, label.clip) for label in self.labels)

    @property
    def samples_sha256(self) -> tuple[str, ...]:
        """A hash of each feed by itself."""
        return tuple(digest_feeds((feed,)).hexdigest() for feed in self.feeds)

    def coverage(self) -> FeedCoverage:
        """Mask ratios, prompts and codebook entries over all feeds."""
        ratios = [label.mask_ratio for label in self.labels if label.mask_ratio is not None]
        bins = [max(0, int(np.ceil(ratio * _RATIO_BINS - 1e-9)) - 1) for ratio in ratios]
        prompts = _counted(label.prompt for label in self.labels)
        seen: list[set[int]] = []
        for feed in self.feeds:
            for book, values in enumerate(_given_codes(feed)):
                if book == len(seen):
                    seen.append(set())
                seen[book].update(np.unique(values).tolist())
        return FeedCoverage(
            n_feeds=len(self.feeds),
            mask_ratios=tuple(bins.count(i) for i in range(_RATIO_BINS)) if ratios else (),
            prompts=prompts,
            entries_seen=tuple(len(book) / self.codebook_size for book in seen),
            lengths={str(n): count for n, count in sorted(_lengths(self.feeds).items())},
            classes=_counted(label.audio_class for label in self.labels),
            codes_from=_counted(label.codes_from for label in self.labels),
        )

    def save_npz(self, path: Path) -> None:
        """Write arrays as `INPUT/0`, `INPUT/1`, ... and the labels as JSON, atomically.

        Raises InputError when the file cannot be written.
        """
        facts = {
            "role": self.role.value,
            "audio": self.audio,
            "upstream": self.upstream,
            "warnings": self.warnings,
            "codebook_size": self.codebook_size,
            "labels": [asdict(label) for label in self.labels],
        }
        arrays = {f"{k}/{i}": v for i, feed in enumerate(self.feeds) for k, v in feed.items()}
        write_npz(path, {**arrays, LABELS_KEY: np.array(json.dumps(facts))})


def save_feed(feed: Feeds, path: Path) -> None:
    """Write one feed with the input names as keys. Raises InputError as `save_npz` does."""
    write_npz(path, feed)


def load_feed_set(path: Path) -> FeedSet:
    """Read what `save_npz` wrote. Raises InputError when the file is something else."""
    arrays = read_npz(path)
    if LABELS_KEY not in arrays:
        raise InputError(f"{path}: holds no feed set; write one with FeedSet.save_npz")
    facts = json.loads(str(arrays.pop(LABELS_KEY)))
    return FeedSet(
        role=Role(facts["role"]),
        # A model without inputs leaves no arrays behind.
        feeds=numbered(path, arrays) if arrays else tuple({} for _ in facts["labels"]),
        labels=tuple(FeedLabel(**label) for label in facts["labels"]),
        audio=facts["audio"],
        upstream=facts["upstream"],
        warnings=tuple(facts["warnings"]),
        codebook_size=facts["codebook_size"],
    )


def _counted(names: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter(name for name in names if name is not None))


def _lengths(feeds: Sequence[Feeds]) -> Counter[int]:
    """Feeds by the longest last axis of their inputs."""
    return Counter(
        max((array.shape[-1] for array in feed.values() if array.ndim), default=0) for feed in feeds
    )


def digest_feeds(feeds: Sequence[Feeds], prefix: str = "") -> hashlib._Hash:
    """SHA-256 over all arrays with their names, types and shapes."""
    digest = hashlib.sha256(prefix.encode())
    for feed in feeds:
        for name in sorted(feed):
            array = np.ascontiguousarray(feed[name])
            digest.update(f"|{name}:{array.dtype.str}:{array.shape}|".encode())
            digest.update(array.tobytes())
    return digest


def _given_codes(feed: Feeds) -> list[Array]:
    """Per codebook the codes that the model is shown; empty for models without codes."""
    codes = feed.get("codes")
    if codes is None or codes.ndim != 3:
        return []
    mask = feed.get("mask")
    if mask is None or mask.shape != codes.shape:
        mask = np.zeros(codes.shape, bool)
    return [codes[:, i][mask[:, i] == 0] for i in range(codes.shape[1])]
