"""What calibration and evaluation listen to: clips, and the set of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from vampnet_models.family import VAMPNET

MASTER_RATE_HZ = VAMPNET.sample_rate_hz
"""What recordings are read at, whatever their own; each model hears them at its family's rate."""

MIN_SAMPLES = VAMPNET.hop_samples
"""Shorter sounds, of 17 ms at the master rate, have no frame of codes of their own."""


_FEW_S = 10.0
"""Figures of less sound depend on which it is."""

_NAMED = 8
"""Recordings that are told by name."""

Side = Literal["calibration", "evaluation"]
BOTH_SIDES: tuple[Side, ...] = ("calibration", "evaluation")


@dataclass(frozen=True)
class Clip:
    """Mono sound, normalised in loudness.

    `samples` is float32 [n] within [-1, 1], `sha256` the hash of exactly those samples
    (of the built-in pack that of its file). `source` is the file it came from (or `builtin`);
    `warnings` are for the user.
    `sample_rate_hz` is the master rate by default. `recording` names what it is cut out of: clips
    of one recording tell little of another; by default a clip is a recording by itself.
    """

    name: str
    samples: NDArray[np.float32] = field(repr=False)
    sha256: str
    source: str
    warnings: tuple[str, ...] = ()
    sample_rate_hz: int = MASTER_RATE_HZ
    recording: str = ""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz

    def start(self, duration_s: float) -> Clip:
        """Its first seconds, a frame of codes at least."""
        n = max(MIN_SAMPLES, round(duration_s * self.sample_rate_hz))
        return self._of(self.samples[:n], self.sample_rate_hz)

    def at_rate(self, rate_hz: int) -> Clip:
        """The same sound at another rate; itself where that is its own."""
        if rate_hz == self.sample_rate_hz:
            return self
        samples = soxr.resample(self.samples, self.sample_rate_hz, rate_hz).astype(np.float32)
        # A filter may ring beyond full scale.
        samples /= max(1.0, float(np.abs(samples).max(initial=0)))
        return self._of(samples, rate_hz)

    def _of(self, samples: NDArray[np.float32], rate_hz: int) -> Clip:
        made = make_clip(self.name, samples, self.source, self.warnings, self.recording)
        return replace(made, sample_rate_hz=rate_hz)


@dataclass(frozen=True)
class Dropped:
    """A file or clip that was not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class AudioSet:
    """Clips to calibrate on and clips to judge on; no content occurs in both.

    Attributes:
        name: of the folder, or `builtin`.
        calibration: the clips of one side.
        evaluation: those of the other.
        dropped: what is not used, with the reason; nothing by default.
        about_recordings: warnings about the recordings themselves; none by default.
    """

    name: str
    calibration: tuple[Clip, ...]
    evaluation: tuple[Clip, ...]
    dropped: tuple[Dropped, ...] = ()
    about_recordings: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that there is to beware of, a line each."""
        return self.warnings_of(BOTH_SIDES)

    def told(self, sides: Sequence[Side]) -> str:
        """Which recordings calibrate and which judge, for a job that hears these sides."""
        verbs = {"calibration": "calibrate", "evaluation": "judge"}
        said = []
        for side in sides:
            names = sorted({clip.recording for clip in getattr(self, side)})
            more = len(names) - _NAMED
            shown = [*names[:_NAMED], *([f"{more} more"] if more > 0 else [])]
            said.append(f"{', '.join(shown)} {verbs[side]}{'s' if len(names) == 1 else ''}")
        return "; ".join(said)

    def warnings_of(self, sides: Sequence[Side]) -> tuple[str, ...]:
        """The same for a job that only hears these sides."""
        lengths_s = {side: sum(c.duration_s for c in getattr(self, side)) for side in sides}
        short = (
            f"{side} has only {length_s:.1f} s of audio: its figures are uncertain; add recordings"
            for side, length_s in lengths_s.items()
            if 0 < length_s < _FEW_S
        )
        return (*self.about_recordings, *short)

    @property
    def sha256(self) -> str:
        """One hash over both sides' contents, in their order."""
        sides = (self.calibration, self.evaluation)
        text = "|".join(",".join(clip.sha256 for clip in side) for side in sides)
        return hashlib.sha256(text.encode()).hexdigest()

    def only(self, sides: Sequence[Side]) -> AudioSet:
        """The same without the clips of other sides."""
        calibration, evaluation = (getattr(self, s) if s in sides else () for s in BOTH_SIDES)
        return replace(self, calibration=calibration, evaluation=evaluation)

    def at_rate(self, rate_hz: int) -> AudioSet:
        """The same clips at another rate."""
        sides = (tuple(c.at_rate(rate_hz) for c in s) for s in (self.calibration, self.evaluation))
        calibration, evaluation = sides
        return replace(self, calibration=calibration, evaluation=evaluation)


def make_clip(
    name: str,
    samples: NDArray[np.float32],
    source: str,
    warnings: tuple[str, ...] = (),
    recording: str | None = None,
) -> Clip:
    """A clip at the master rate with its content hash; a recording by itself unless told."""
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    sha256 = content_sha256(samples)
    return Clip(name, samples, sha256, source, warnings, recording=recording or name)


def content_sha256(samples: NDArray[np.float32]) -> str:
    """The hash of the samples alone, whatever the file they came from was called."""
    return hashlib.sha256(samples.astype("<f4", copy=False).tobytes()).hexdigest()
