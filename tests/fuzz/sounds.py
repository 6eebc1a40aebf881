"""Mutants of sound files: wav, flac, ogg; headers, lengths, rates, values."""

from __future__ import annotations

import io
import struct
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from calibration.audio.load import read_audio
from tests.fuzz.changes import Rng, at_bytes, extreme, pick
from tests.fuzz.runner import Kind, Mutant
from vampnet_models.errors import WorkbenchError

FORMATS = (
    ("WAV", "PCM_16", 44_100, 1),
    ("WAV", "FLOAT", 48_000, 2),
    ("WAV", "DOUBLE", 22_050, 1),
    ("WAV", "PCM_U8", 8_000, 3),
    ("WAV", "IMA_ADPCM", 44_100, 1),
    ("RF64", "PCM_24", 44_100, 2),
    ("AIFF", "PCM_16", 96_000, 1),
    ("FLAC", "PCM_16", 44_100, 2),
    ("FLAC", "PCM_24", 16_000, 1),
    ("OGG", "VORBIS", 44_100, 1),
    ("OGG", "OPUS", 48_000, 2),
)
HEADER_BYTES = 200
VALUES = (np.nan, np.inf, -np.inf, 2.7e38, -3.4e38, 1e30, 1e308, 5e-324, 0.0, 1e5)


@cache
def _whole(index: int) -> bytes:
    """Half a second of seeded noise in one of the formats."""
    kind, subtype, rate_hz, channels = FORMATS[index]
    rng = np.random.default_rng(index)
    samples = 0.1 * rng.standard_normal((rate_hz // 2, channels))
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, subtype=subtype, format=kind)
    data = stream.getvalue()
    return _same_serial(data) if kind == "OGG" else data


def _mutate(rng: Rng) -> Mutant:
    index = int(rng.integers(len(FORMATS)))
    kind, subtype, _, _ = FORMATS[index]
    suffix = {"WAV": "wav", "RF64": "wav", "AIFF": "aiff", "FLAC": "flac", "OGG": "ogg"}[kind]
    name, change = pick(rng, _CHANGES)
    return Mutant(f"m.{suffix}", change(_whole(index), rng), f"{kind} {subtype}: {name}")


def _header(data: bytes, rng: Rng) -> bytes:
    return _mended(at_bytes(data, rng, 0, HEADER_BYTES))


def _anywhere(data: bytes, rng: Rng) -> bytes:
    return _mended(at_bytes(data, rng))


def _field(data: bytes, rng: Rng) -> bytes:
    """An extreme number in one of the fields that say how much there is."""
    if data.startswith((b"RIFF", b"RF64")):
        at, code = pick(rng, _wave_fields(data))
    elif data.startswith(b"fLaC"):
        return _flac_stream_info(data, rng)
    elif data.startswith(b"OggS"):
        # Granule position, sequence, number of segments; channels and rate of either codec.
        at, code = pick(
            rng, ((6, "<Q"), (18, "<I"), (26, "B"), (28 + 11, "B"), (28 + 12, "<I"), (28 + 9, "B"))
        )
    else:
        at, code = pick(
            rng, ((4, ">I"), (16, ">I"), (20, ">H"), (22, ">I"), (26, ">H"), (28, ">H"))
        )
    size = struct.calcsize(code)
    value = struct.pack(code, extreme(rng, 8 * size))
    return _mended(data[:at] + value + data[at + size :])


def _wave_fields(data: bytes) -> list[tuple[int, str]]:
    """Every field of `fmt `, and every chunk's size."""
    fmt, sound = data.index(b"fmt "), data.index(b"data")
    fields = [(4, "<I"), (fmt + 4, "<I"), (sound + 4, "<I")]
    fields += [(fmt + 8 + at, code) for at, code in ((0, "<H"), (2, "<H"), (4, "<I"), (8, "<I"))]
    fields += [(fmt + 8 + at, "<H") for at in (12, 14, 16)]
    if b"ds64" in data[:64]:
        start = data.index(b"ds64")
        fields += [(start + 8, "<Q"), (start + 16, "<Q"), (start + 24, "<Q"), (start + 32, "<I")]
    return fields


def _flac_stream_info(data: bytes, rng: Rng) -> bytes:
    """Rate (20 bits), channels (3), bits per sample (5), samples (36); block sizes."""
    if rng.random() < 0.3:
        place = int(rng.integers(8, 18))
        return data[:place] + bytes([int(rng.integers(256))]) + data[place + 1 :]
    packed = int.from_bytes(data[18:26], "big")
    at, bits = pick(rng, ((44, 20), (41, 3), (36, 5), (0, 36)))
    packed = packed & ~(((1 << bits) - 1) << at) | extreme(rng, bits) << at
    return data[:18] + packed.to_bytes(8, "big") + data[26:]


def _values(data: bytes, rng: Rng) -> bytes:
    """Extreme values in the place of samples, as float32 or float64."""
    start = data.find(b"data") + 8 if b"data" in data[:200] else len(data) // 2
    changed = bytearray(data)
    code, size = pick(rng, (("<f", 4), ("<d", 8), (">f", 4)))
    for _ in range(int(rng.integers(1, 5))):
        value = pick(rng, VALUES)
        if size == 4:
            value = float(np.clip(value, -3.4e38, 3.4e38)) if np.isfinite(value) else value
        count = max(1, (len(data) - start - size) // size)
        at = start + size * int(rng.integers(count))
        changed[at : at + size] = struct.pack(code, value)
    return bytes(changed)


def _cut(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _joined(data: bytes, rng: Rng) -> bytes:
    """Two files in one, or one file many times."""
    if rng.random() < 0.5:
        return data + _whole(int(rng.integers(len(FORMATS))))
    return data * int(rng.integers(2, 12))


def _many(data: bytes, rng: Rng) -> bytes:
    """A wav of silence whose header names as many samples as one likes: hours of 8 bits."""
    rate_hz = pick(rng, (1, 100, 3_999, 4_000, 8_000, 44_100, 768_000, 768_001, 2**31 - 1))
    channels = pick(rng, (1, 2, 64, 1_024, 1_025, 65_535))
    n_bytes = int(pick(rng, (10_000, 1_000_000, 9_000_000)))
    header = struct.pack("<4sI4s", b"RIFF", 36 + n_bytes, b"WAVE")
    rate_bytes = rate_hz * channels % 2**32
    header += struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, rate_hz, rate_bytes, channels % 65536, 8
    )
    return header + struct.pack("<4sI", b"data", n_bytes) + rng.bytes(64) * (n_bytes // 64 + 1)


def _silent_flac(data: bytes, rng: Rng) -> bytes:
    """Much time in few bytes: constant blocks of a flac compress a hundredfold."""
    return _silence(pick(rng, RATES_HZ), pick(rng, (1, 8))) * int(rng.integers(1, 3))


RATES_HZ = (4_000, 44_100, 192_000)


@cache
def _silence(rate_hz: int, channels: int) -> bytes:
    samples = np.zeros((1 << 19, channels), np.int16)
    samples[:100] = 1000
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, subtype="PCM_16", format="FLAC")
    return stream.getvalue()


def _mended(data: bytes) -> bytes:
    """An ogg's checksums made right again, so that what was changed is read."""
    return _checked(data) if data.startswith(b"OggS") else data


def _same_serial(data: bytes) -> bytes:
    """An ogg's random serial number replaced, so that a seed gives the same file always."""
    changed = bytearray(data)
    for start, _ in _pages(data):
        changed[start + 14 : start + 18] = b"seed"
    return _checked(bytes(changed))


def _checked(data: bytes) -> bytes:
    changed = bytearray(data)
    for start, stop in _pages(data):
        changed[start + 22 : start + 26] = bytes(4)
        checksum = _crc(bytes(changed[start:stop]))
        changed[start + 22 : start + 26] = struct.pack("<I", checksum)
    return bytes(changed)


def _pages(data: bytes) -> list[tuple[int, int]]:
    pages, start = [], data.find(b"OggS")
    while start >= 0 and start + 27 <= len(data):
        lengths = data[start + 27 : start + 27 + data[start + 26]]
        stop = min(start + 27 + len(lengths) + sum(lengths), len(data))
        pages.append((start, stop))
        start = data.find(b"OggS", stop)
    return pages


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


def _crc(data: bytes) -> int:
    """Ogg's CRC-32: polynomial 0x04C11DB7, not reflected, from zero."""
    table, value = _crc_table(), 0
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ table[value >> 24 ^ byte]
    return value


_CHANGES = (
    *((("header"), _header),) * 3,
    ("anywhere", _anywhere),
    *((("field"), _field),) * 3,
    *((("values"), _values),) * 2,
    ("cut", _cut),
    ("joined", _joined),
    ("many", _many),
    ("silent", _silent_flac),
)


def _read(path: Path, _out: Path) -> int:
    clip = read_audio(path)
    if not np.isfinite(clip.samples).all() or np.abs(clip.samples).max() > 1:
        raise ArithmeticError("samples beyond [-1, 1]")
    # The sound, and its copy at the normal loudness.
    return 2 * clip.samples.nbytes


def _prepare() -> None:
    for index in range(len(FORMATS)):
        _whole(index)
    for rate_hz in RATES_HZ:
        for channels in (1, 8):
            _silence(rate_hz, channels)


KIND = Kind("audio", _mutate, (_read,), (WorkbenchError,), _prepare)
