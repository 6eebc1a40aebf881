"""What calibration and evaluation listen to: clips, and the set of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vampnet_models.family import VAMPNET


@dataclass(frozen=True)
class Clip:
    """Mono sound at 44.1 kHz, normalised in loudness.

    `samples` is float32 [n] within [-1, 1], `sha256` the hash of exactly those samples.
    `source` is the file it came from (or `builtin`); `warnings` are for the user.
    """

    name: str
    samples: NDArray[np.float32] = field(repr=False)
    sha256: str
    source: str
    warnings: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / VAMPNET.sample_rate_hz


@dataclass(frozen=True)
class Dropped:
    """A file or clip that was not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class AudioSet:
    """Clips to calibrate on and clips to judge on; no content occurs in both."""

    name: str
    calibration: tuple[Clip, ...]
    evaluation: tuple[Clip, ...]
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """One hash over both sides' contents, in their order."""
        sides = (self.calibration, self.evaluation)
        text = "|".join(",".join(clip.sha256 for clip in side) for side in sides)
        return hashlib.sha256(text.encode()).hexdigest()


def make_clip(
    name: str, samples: NDArray[np.float32], source: str, warnings: tuple[str, ...] = ()
) -> Clip:
    """A clip with its content hash."""
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    return Clip(name, samples, content_sha256(samples), source, warnings)


def content_sha256(samples: NDArray[np.float32]) -> str:
    """The hash of the samples alone, whatever the file they came from was called."""
    return hashlib.sha256(samples.astype("<f4", copy=False).tobytes()).hexdigest()
