"""Sounds to listen to, embedded in the page with their spectrograms."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from markupsafe import Markup

from profiles.report.charts.spectrogram import spectrogram
from profiles.report.views.run import AudioFile
from profiles.report.views.units import bytes_text, seconds_text

_EMBED_AT_MOST_BYTES = 8_000_000
"""Per file; a page of more than some tens of MB opens slowly in a browser."""

_MEDIA = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}


@dataclass(frozen=True)
class Sound:
    """What the page shows of one file: the sound, or why it is not there."""

    title: str
    note: str
    uri: str | None
    picture: Markup | None
    problem: str | None


def load_sound(file: AudioFile, folder: Path) -> Sound:
    """Embed a sound of the run's folder; what cannot be embedded says why."""
    path = (folder / file.path).resolve()
    media = _MEDIA.get(path.suffix.lower())
    if not path.is_relative_to(folder.resolve()):
        return _absent(file, "lies outside the run's folder")
    if media is None:
        return _absent(file, f"is no sound file that a browser plays ({', '.join(_MEDIA)})")
    if not path.is_file():
        return _absent(file, "is missing from the run's folder")
    size = path.stat().st_size
    if size > _EMBED_AT_MOST_BYTES:
        limit = bytes_text(_EMBED_AT_MOST_BYTES)
        return _absent(file, f"is {bytes_text(size)}, above the {limit} embedded per file")
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        return _absent(file, f"cannot be read ({' '.join(str(error).split())})")
    mono = np.nan_to_num(samples.mean(axis=1))
    if len(mono) == 0:
        return _absent(file, "holds no samples")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    length = f"{seconds_text(len(mono) / rate_hz)}, {rate_hz / 1000:g}\u00a0kHz"
    return Sound(
        title=file.title,
        note=f"{file.note} · {length}" if file.note else length,
        uri=f"data:{media};base64,{data}",
        picture=spectrogram(mono, rate_hz, name=f"Spectrogram of {file.title}"),
        problem=None,
    )


def _absent(file: AudioFile, why: str) -> Sound:
    return Sound(file.title, file.note or "", None, None, f"{file.path} {why}: not embedded")
