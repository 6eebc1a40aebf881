"""A sound file, block by block: decoded, mixed to mono, brought to 44.1 kHz, bounded throughout.

What is held is the mono sound at 44.1 kHz and one block of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from calibration.audio.clips import MASTER_RATE_HZ
from vampnet_models.errors import InputError
from vampnet_models.family import MAX_RATE_HZ, MIN_RATE_HZ
from vampnet_models.text import is_text

_MAX_CHANNELS = 64
_MAX_MINUTES = 30
"""Of one file, at its own rate and in its own channels."""

_MAX_SAMPLE = 2.0**32
"""Full scale of 32-bit integers that were stored as floats is half of it; beyond it, nothing is
sound, and the sums of loudness overflow."""

RAW_SUFFIX = ".raw"
"""Samples without a header."""

_BLOCK_VALUES = 1 << 20
"""Read at a time: 4 MB, however long the file is."""

_BYTES_PER_VALUE = 8
"""Of the widest sample format, 64-bit floats."""

_HEADER_BYTES = 64 * 1024 * 1024
"""What may stand in a file beside its samples: pictures, texts, markers."""

_RAIL = 0.9999
"""The largest sample of 16 bits is 32767 / 32768, not 1."""


@dataclass(frozen=True)
class Sound:
    """Mono samples [n] at 44.1 kHz, not normalised, and what the file was."""

    samples: NDArray[np.float32] = field(repr=False)
    rate_hz: int
    channels: int
    n_frames: int
    """Samples per channel, at the file's rate."""
    clipped_share: float


def decode(path: Path) -> Sound:
    """Read a whole file; channels are averaged, the rate becomes 44.1 kHz.

    Raises InputError: missing or unreadable, a rate or a number of channels out of bounds, longer
    than 30 minutes, NaN, infinite or overflowing samples.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a sound file")
    if not is_text(str(path)):
        raise InputError(f"{path}: its path is no UTF-8 text; rename it")
    if path.suffix.lower() == RAW_SUFFIX:
        raise InputError(f"{path}: raw samples name no rate and no channels; convert it to WAV")
    try:
        with soundfile.SoundFile(path) as file:
            _require_bounds(path, file)
            return _read(path, file)
    except soundfile.SoundFileError as error:
        reason = " ".join(str(error).split()).removeprefix(f"Error opening {str(path)!r}: ")
        raise InputError(
            f"{path}: cannot be read as sound ({reason}); convert it to WAV"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory; cut it into shorter files") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its rights") from error


def _require_bounds(path: Path, file: soundfile.SoundFile) -> None:
    rate_hz, channels = int(file.samplerate), int(file.channels)
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise InputError(
            f"{path}: a sample rate of {rate_hz} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz are read: "
            "export it again"
        )
    if channels > _MAX_CHANNELS:
        raise InputError(
            f"{path}: {channels} channels, more than the {_MAX_CHANNELS} that are read; mix it down"
        )
    most = _MAX_MINUTES * 60 * rate_hz * channels * _BYTES_PER_VALUE + _HEADER_BYTES
    if (size := path.stat().st_size) > most:
        raise InputError(
            f"{path}: {size} bytes, more than {_MAX_MINUTES} minutes at {_form(file)} take, the "
            "limit for one file; cut it into shorter ones"
        )


def _read(path: Path, file: soundfile.SoundFile) -> Sound:
    rate_hz, channels = int(file.samplerate), int(file.channels)
    limit = _MAX_MINUTES * 60 * rate_hz
    stream = _Resampler(rate_hz)
    clipped = frames = 0
    while len(block := file.read(_BLOCK_VALUES // channels, dtype="float32", always_2d=True)):
        frames += len(block)
        if frames > limit:
            raise _too_long(path, file)
        peak = _peak(block)
        if not np.isfinite(peak):
            raise InputError(f"{path}: holds NaN or infinite samples; export it again")
        if peak > _MAX_SAMPLE:
            raise InputError(
                f"{path}: holds a sample of {peak:.1e}, beyond the full scale of any format; "
                "export it again"
            )
        if peak >= _RAIL:
            # One full-scale sample is a peak; two in a row at the same rail were cut off.
            rail = np.abs(block) >= _RAIL
            clipped += int(np.count_nonzero(rail[1:] & rail[:-1] & (block[1:] == block[:-1])))
        stream.add(block.mean(axis=1))
    samples = stream.end()
    return Sound(samples, rate_hz, channels, frames, clipped / max(1, frames * channels))


class _Resampler:
    """Mono blocks at one rate -> all of them at 44.1 kHz."""

    def __init__(self, rate_hz: int) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self._stream = None
        if rate_hz != MASTER_RATE_HZ:
            self._stream = soxr.ResampleStream(rate_hz, MASTER_RATE_HZ, 1, dtype="float32")

    def add(self, block: NDArray[np.float32]) -> None:
        """The next block."""
        moved = block if self._stream is None else self._stream.resample_chunk(block)
        self._parts.append(np.asarray(moved, np.float32))

    def end(self) -> NDArray[np.float32]:
        """The whole sound."""
        if self._stream is not None:
            last = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
            self._parts.append(np.asarray(last, np.float32))
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)


def _peak(block: NDArray[np.float32]) -> float:
    """The largest magnitude; NaN where one is."""
    return float(np.maximum(block.max(), -block.min()))


def _too_long(path: Path, file: soundfile.SoundFile) -> InputError:
    return InputError(
        f"{path}: longer than {_MAX_MINUTES} minutes at {_form(file)}, the limit for one file; cut "
        "it into shorter ones"
    )


def _form(file: soundfile.SoundFile) -> str:
    kind = "channel" if file.channels == 1 else "channels"
    return f"its {file.samplerate} Hz and {file.channels} {kind}"
