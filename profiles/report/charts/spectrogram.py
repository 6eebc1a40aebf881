"""A spectrogram as SVG: short-time spectra on a logarithmic frequency axis, in decibels."""

from __future__ import annotations

import base64
import itertools
import struct
import zlib

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from profiles.report.charts.scales import linear_axis
from profiles.report.charts.svg import element, figure, group, label, line
from profiles.report.views.units import NBSP

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
