"""What each shipped model is for, and what a variant of it must still do.

A task drives a model over recordings (or files) and gives its answers; the measure compares a
variant's answers with the source's. Features are made as the packages make them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from optimize.truth.audio_metrics import si_sdr_db
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Feeds

_Signal = NDArray[np.float32]
_Matrix = NDArray[Any]


def _windows(samples: _Signal, length: int, hop: int) -> list[_Signal]:
    """Whole windows of a signal; what is left at its end is dropped."""
    return [samples[i : i + length] for i in range(0, len(samples) - length + 1, hop)]


def frames_of(samples: _Signal, length: int, hop: int) -> _Matrix:
    """Overlapping frames `[frames, length]`."""
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


def overlap_added(frames: _Matrix, hop: int) -> _Matrix:
    """The signal of overlapping frames, summed."""
    length = frames.shape[1]
    out = np.zeros(hop * (len(frames) - 1) + length)
    for i, frame in enumerate(frames):
        out[i * hop : i * hop + length] += frame
    return out


def mixed(signal: _Signal, noise: _Signal, snr_db: float = 5.0) -> _Signal:
    """Both, with the noise that far below the signal; as long as the shorter one."""
    n = min(len(signal), len(noise))
    signal, noise = signal[:n], noise[:n]
    power = float(np.mean(signal**2)) / max(float(np.mean(noise**2)), 1e-12)
    out = signal + noise * np.sqrt(power / 10 ** (snr_db / 10))
    return (out / max(1.0, float(np.abs(out).max()))).astype(np.float32)


def log_mel(samples: _Signal, rate_hz: int, n_fft: int, hop: int, n_mels: int) -> _Matrix:
    """Mel power `[frames, n_mels]` in dB below its peak, at most 80, mapped to [-1, 1]."""
    padded = np.pad(samples, n_fft // 2)
    window = np.hanning(n_fft + 1)[:-1]
    power = np.abs(np.fft.rfft(frames_of(padded, n_fft, hop) * window)) ** 2
    mel = power @ _mel_filters(rate_hz, n_fft, n_mels).T
    decibel = 10 * np.log10(np.maximum(mel, 1e-10) / max(float(mel.max()), 1e-10))
    return (np.maximum(decibel, -80) + 40) / 40


def plc_features(samples: _Signal, n_fft: int = 512) -> _Matrix:
    """Log power `[frames, 257]` of Hamming windows, as PLCMOS takes it."""
    hop = n_fft // 2
    padded = np.pad(samples, (n_fft - hop, hop))
    magnitude = np.abs(np.fft.rfft(frames_of(padded, n_fft, hop) * np.hamming(n_fft + 1)[:-1]))
    power = magnitude**2
    least = power[power > 0].min() if (power > 0).any() else 1e-8
    return np.log(np.where(power > 0, power, least * 1e-12)) / 20


def _mel_filters(rate_hz: int, n_fft: int, n_mels: int) -> _Matrix:
    """Triangles of equal area on Slaney's scale: linear below 1 kHz, logarithmic above."""
    step = np.log(6.4) / 27

    def to_mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + float(np.log(hz / 1000)) / step

    mels = np.linspace(0, to_mel(rate_hz / 2), n_mels + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (mels - 15)))
    bins = np.linspace(0, rate_hz / 2, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return np.maximum(0, np.minimum(rising, falling)) * area[:, None]


_Array = NDArray[np.float64] | NDArray[np.float32]
_Run = Callable[[Feeds], Feeds]
"""Runs the model once: feeds to outputs, both by name."""

RECORDINGS = ("speech", "brahms", "trumpet", "vibeace")
_MAX_S = 20.0


@dataclass(frozen=True)
class Material:
    """One side of what the tasks are judged on: mono recordings at 16 kHz and 22.05 kHz, files."""

    at_16k: Mapping[str, NDArray[np.float32]]
    at_22k: Mapping[str, NDArray[np.float32]]
    files: tuple[bytes, ...]


@dataclass(frozen=True)
class _Task:
    """`drive` gives the answers, `measure` compares them; within `limit` the variant is right.

    `unit` names the measure; `higher` says which side of the limit is the good one.
    """

    unit: str
    drive: Callable[[_Run, Material], _Array]
    measure: Callable[[_Array, _Array], float]
    limit: float
    higher: bool

    def kept(self, value: float) -> bool:
        """Whether that is good enough; NaN is not."""
        return value >= self.limit if self.higher else value <= self.limit


def materials(folder: Path, files: tuple[bytes, ...]) -> tuple[Material, Material]:
    """Calibration (the first half of each recording, every other file) and evaluation.

    Raises InputError when a recording is missing.
    """
    halves: tuple[dict[int, dict[str, NDArray[np.float32]]], ...] = ({}, {})
    for rate in (16_000, 22_050):
        for name in RECORDINGS:
            path = folder / f"{name}.ogg"
            if not path.is_file():
                raise InputError(f"{path}: no such recording; give the folder with --audio")
            samples, own = soundfile.read(path, dtype="float32", always_2d=True)
            mono = np.asarray(soxr.resample(samples.mean(axis=1), own, rate), np.float32)
            mono = mono[: int(2 * _MAX_S * rate)]
            middle = len(mono) // 2
            for half, part in zip(halves, (mono[:middle], mono[middle:]), strict=True):
                half.setdefault(rate, {})[name] = part
    sides = (files[::2], files[1::2])
    one, two = (
        Material(half[16_000], half[22_050], side) for half, side in zip(halves, sides, strict=True)
    )
    return one, two


def _voice_activity(run: _Run, material: Material) -> _Array:
    """Probabilities of speech per 32 ms, each step with the state that the model itself left."""
    found = []
    clips = [*material.at_16k.values(), mixed(material.at_16k["speech"], material.at_16k["brahms"])]
    for samples in clips:
        state, context = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
        for chunk in _windows(samples, 512, 512):
            audio = np.concatenate([context, chunk])[None].astype(np.float32)
            given = {"input": audio, "state": state, "sr": np.array(16_000, np.int64)}
            outputs = run(given)
            state, context = outputs["stateN"], chunk[-64:]
            found.append(float(outputs["output"].ravel()[0]))
    return np.array(found)


def _file_types(run: _Run, material: Material) -> _Array:
    """Scores per type of file, from its first and last 1,024 bytes."""
    found = []
    for content in material.files:
        first, last = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
        values = np.full((1, 2048), 256, np.int32)
        values[0, : len(first)] = np.frombuffer(first, np.uint8)
        values[0, 2048 - len(last) :] = np.frombuffer(last, np.uint8)
        found.append(run({"bytes": values})["target_label"][0])
    return np.stack(found)


def _packet_loss(run: _Run, material: Material) -> _Array:
    """Mean opinion score of each clip with a tenth of its 20 ms packets lost, five raters."""
    rng, found = np.random.default_rng(3), []
    for samples in _clips(material, 8.0):
        packets = np.repeat(rng.random(len(samples) // 320 + 1) < 0.9, 320)[: len(samples)]
        for heard in (samples, samples * packets):
            features = plc_features(heard)[None, None].astype(np.float32)
            scores = []
            for _ in range(5):
                rater = rng.standard_normal((1, 64)).astype(np.float32)
                outputs = run({"degraded_audio": features, "rater_embed": rater})
                scores.append(float(outputs["plcmos"]))
            found.append(np.mean(scores))
    return np.array(found)


def _echo(run: _Run, material: Material) -> _Array:
    """Scores of echo and of other degradation in double talk, at three strengths of echo."""
    found = []
    near = material.at_16k["speech"][: 8 * 16_000]
    for name in ("vibeace", "brahms"):
        far = material.at_16k[name][: len(near)]
        echo = np.concatenate([np.zeros(800, np.float32), far[:-800]])
        for strength in (0.0, 0.1, 0.5):
            signals = (far, near + 0.5 * echo, near + strength * echo)
            marks = (1.0, 1.0, 1.0)
            features = []
            for signal, mark in zip(signals, marks, strict=True):
                mel = log_mel(signal, 16_000, 513, 256, 160)
                rows = np.ones((20, 160)) * mark, np.zeros((20, 160))
                features.append(np.concatenate([mel, *rows]))
            feed = {
                "input": np.stack(features)[None].astype(np.float32),
                "h0": np.zeros((4, 1, 64), np.float32),
            }
            found.append(run(feed)["output"][:2])
    return np.stack(found).astype(np.float64)


def _noise(run: _Run, material: Material) -> _Array:
    """Scores of signal, background and whole, of 9 s with and without noise."""
    return np.stack(
        [run({"input_1": s[None, :144_160]})["Identity:0"][0] for s in _noisy(material)]
    )


def _noise_mel(run: _Run, material: Material) -> _Array:
    """The one score of P.808, of the same clips."""
    found = []
    for samples in _noisy(material):
        mel = log_mel(samples[: 144_160 - 160], 16_000, 321, 160, 120)[:900]
        found.append(run({"input_1": mel[None].astype(np.float32)})["Identity:0"][0])
    return np.stack(found)


def _notes(run: _Run, material: Material) -> _Array:
    """Probabilities of 88 notes per frame."""
    found = []
    for samples in material.at_22k.values():
        for chunk in _windows(samples, 43_844, 43_844)[:6]:
            outputs = run({"serving_default_input_2:0": chunk[None, :, None].astype(np.float32)})
            found.append(outputs["StatefulPartitionedCall:1"][0])
    return np.concatenate(found)


def _pitch(run: _Run, material: Material) -> _Array:
    """Pitch in Hz and confidence, per 16 ms."""
    found = []
    for samples in _clips(material, 10.0):
        limits = {"fmin": np.array(46.875, np.float32), "fmax": np.array(2093.75, np.float32)}
        outputs = run({"audio": samples[None], **limits})
        found.append(np.stack([outputs["pitch"][0], outputs["confidence"][0]], axis=1))
    return np.concatenate(found)


def _enhanced(run: _Run, material: Material) -> _Array:
    """Noisy speech after the gains that the model gives."""
    found = []
    window = np.sqrt(np.hanning(321)[:-1])
    for samples in _noisy(material):
        spectrum = np.fft.rfft(frames_of(samples, 320, 160) * window)
        features = np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-12))
        gains = run({"input": features[None].astype(np.float32)})["output"][0]
        found.append(overlap_added(np.fft.irfft(spectrum * gains) * window, 160))
    return np.concatenate(found)


def _clips(material: Material, seconds: float) -> list[NDArray[np.float32]]:
    return [samples[: int(seconds * 16_000)] for samples in material.at_16k.values()]


def _noisy(material: Material) -> list[NDArray[np.float32]]:
    """Speech alone, and with music or with white noise under it; 10 s, repeated up to that."""
    speech = np.resize(material.at_16k["speech"], 160_000).astype(np.float32)
    hiss = np.random.default_rng(5).standard_normal(160_000).astype(np.float32)
    music = np.resize(material.at_16k["brahms"], 160_000).astype(np.float32)
    return [speech, mixed(speech, music), mixed(speech, hiss), mixed(speech, hiss, 15.0)]


def _same_decisions(reference: _Array, found: _Array) -> float:
    return float(np.mean((reference >= 0.5) == (found >= 0.5)))


def _same_class(reference: _Array, found: _Array) -> float:
    return float(np.mean(reference.argmax(axis=-1) == found.argmax(axis=-1)))


def _largest_difference(reference: _Array, found: _Array) -> float:
    return float(np.abs(reference - found).max())


def _same_notes(reference: _Array, found: _Array) -> float:
    """F-measure of the notes that sound."""
    ours, theirs = found > 0.3, reference > 0.3
    return float(2 * (ours & theirs).sum() / max(1, ours.sum() + theirs.sum()))


def _same_pitch(reference: _Array, found: _Array) -> float:
    """Frames with the same voicing and, where there is a voice, within 50 cents."""
    voiced, still = reference[:, 1] >= 0.5, found[:, 1] >= 0.5
    cents = 1200 * np.abs(np.log2(np.maximum(found[:, 0], 1) / np.maximum(reference[:, 0], 1)))
    return float(np.mean((voiced == still) & (~voiced | (cents < 50))))


_VOICE = _Task("same speech decisions", _voice_activity, _same_decisions, 0.99, higher=True)

TASKS: Mapping[str, _Task] = {
    "silero-vad": _VOICE,
    "silero-vad, no If": _VOICE,
    "magika": _Task("same type of file", _file_types, _same_class, 0.98, higher=True),
    "PLCMOS": _Task("largest change of MOS", _packet_loss, _largest_difference, 0.1, higher=False),
    "AECMOS": _Task("largest change of MOS", _echo, _largest_difference, 0.1, higher=False),
    "DNSMOS": _Task("largest change of MOS", _noise, _largest_difference, 0.1, higher=False),
    "DNSMOS P.808": _Task(
        "largest change of MOS", _noise_mel, _largest_difference, 0.1, higher=False
    ),
    "basic-pitch": _Task("F-measure of notes", _notes, _same_notes, 0.97, higher=True),
    "SwiftF0": _Task("same pitch or silence", _pitch, _same_pitch, 0.98, higher=True),
    "NSNet2": _Task("SI-SDR of the enhanced sound, dB", _enhanced, si_sdr_db, 20.0, higher=True),
}
