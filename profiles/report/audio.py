"""Sounds to listen to, embedded in the page with their spectrograms."""

from __future__ import annotations

import base64
import itertools
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from markupsafe import Markup
from numpy.typing import NDArray

from profiles.report.charts.scales import linear_axis
from profiles.report.charts.svg import element, figure, group, label, line
from profiles.report.views.units import NBSP, bytes_text, seconds_text
from vampnet_models.records import results as records

WIDTH, LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 360.0, 44.0, 10.0, 6.0, 128.0, 38.0
_RANGE_DB = 80.0
_WINDOW, _COLUMNS, _ROWS, _LOWEST_HZ = 2048, 480, 128, 40.0
_COLOURS = ((10, 10, 30), (59, 34, 96), (33, 104, 140), (53, 183, 121), (253, 231, 37))
"""Dark to bright in even steps of lightness, readable with any colour vision."""


def spectrogram(samples: NDArray[np.float32], rate_hz: int, *, name: str) -> Markup:
    """The sound's energy over time; `samples` is `[n]` mono, at least one."""
    image = base64.b64encode(png(_levels(samples, rate_hz), _palette())).decode("ascii")
    duration_s = len(samples) / rate_hz
    bottom, plot = HEIGHT - BOTTOM, WIDTH - LEFT - RIGHT
    seconds = linear_axis("seconds", 0.0, duration_s, lambda s: f"{s:g}", 5)
    top_hz = _top_hz(rate_hz)
    octaves = [f for f in (100.0, 1_000.0, 10_000.0) if f < top_hz]
    parts = [
        element(
            "image",
            {
                "href": f"data:image/png;base64,{image}",
                "x": LEFT,
                "y": TOP,
                "width": plot,
                "height": bottom - TOP,
                "preserveAspectRatio": "none",
            },
        )
    ]
    for hz in octaves:
        y = bottom - np.log(hz / _LOWEST_HZ) / np.log(top_hz / _LOWEST_HZ) * (bottom - TOP)
        text = f"{hz / 1000:g}{NBSP}kHz" if hz >= 1000 else f"{hz:g}{NBSP}Hz"
        parts += [
            line(LEFT - 4, float(y), LEFT, float(y), "axis"),
            label(LEFT - 6, float(y) + 4, text, "tick", "end"),
        ]
    for value, text in seconds.ticks:
        x = LEFT + seconds.position(value) * plot
        parts += [
            line(x, bottom, x, bottom + 4, "axis"),
            label(x, bottom + 16, text, "tick", "middle"),
        ]
    parts.append(label(LEFT + plot / 2, HEIGHT - 5, "seconds", "axis-label", "middle"))
    return figure(WIDTH, HEIGHT, name, group("frame", *parts))


def png(levels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """An indexed PNG (ISO/IEC 15948): `levels` `[rows, columns]`, `palette` `[n, 3]`."""
    rows, columns = levels.shape
    filtered = np.hstack([np.zeros((rows, 1), np.uint8), levels]).tobytes()
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(filtered, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _levels(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.uint8]:
    """Decibels below the loudest bin as 0 to 63, `[_ROWS, columns]`, high frequencies first."""
    padded = np.pad(samples, (_WINDOW // 2, _WINDOW // 2))
    columns = min(_COLUMNS, max(1, len(samples) // 64))
    starts = np.linspace(0, len(padded) - _WINDOW, columns).astype(int)
    frames = np.stack([padded[s : s + _WINDOW] for s in starts]) * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    hz = np.geomspace(_LOWEST_HZ, _top_hz(rate_hz), _ROWS + 1)
    edges = np.clip((hz * _WINDOW / rate_hz).astype(int), 1, power.shape[1] - 1)
    bands = [power[:, a : max(b, a + 1)].max(axis=1) for a, b in itertools.pairwise(edges)]
    grid = np.stack(bands[::-1])
    decibels = 10 * np.log10(np.maximum(grid, 1e-20) / max(float(grid.max()), 1e-12))
    scaled = np.clip(1 + decibels / _RANGE_DB, 0, 1) * 63
    return np.asarray(scaled.round(), dtype=np.uint8)


def _palette() -> NDArray[np.uint8]:
    anchors = np.asarray(_COLOURS, dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, 64)
    columns = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    return np.stack(columns, axis=1).round().astype(np.uint8)


def _top_hz(rate_hz: int) -> float:
    return max(rate_hz / 2 * 0.98, 2 * _LOWEST_HZ)


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


def load_sound(file: records.Sound | str, folder: Path) -> Sound:
    """Embed a sound of the run's folder; what cannot be embedded says why."""
    if isinstance(file, str):
        # Runs of earlier versions hold the path alone.
        file = records.Sound(file)
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
    title = file.name or file.path
    return Sound(
        title=title,
        note=f"{file.note} · {length}" if file.note else length,
        uri=f"data:{media};base64,{data}",
        picture=spectrogram(mono, rate_hz, name=f"Spectrogram of {title}"),
        problem=None,
    )


def _absent(file: records.Sound, why: str) -> Sound:
    title = file.name or file.path
    return Sound(title, file.note or "", None, None, f"{file.path} {why}: not embedded")
