"""Framing, spectra and mixtures that the shipped models of `real_models.py` are fed with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Signal = NDArray[np.float32]
_Matrix = NDArray[Any]


def windows(samples: _Signal, length: int, hop: int) -> list[_Signal]:
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


def si_sdr_db(reference: _Matrix, found: _Matrix) -> float:
    """Scale-invariant signal-to-distortion ratio of one signal against another."""
    scale = float(found @ reference) / max(float(reference @ reference), 1e-12)
    error = found - scale * reference
    return float(10 * np.log10(scale**2 * (reference @ reference) / max(error @ error, 1e-20)))


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
