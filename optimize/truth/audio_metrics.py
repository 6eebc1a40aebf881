"""How far one decoded audio is from another: SI-SDR, SNR, log-mel and STFT distance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Audio = NDArray[Any]

_CEILING_DB = 150.0
"""Given for bit-equal audio, whose true ratio is infinite; float32 reaches about 140 dB."""

_N_FFT = 2048
_HOP_LENGTH = 512
_N_MELS = 80
"""Windows of 46 ms at 44.1 kHz, a quarter of one apart."""

_FLOOR_DB = -80.0
"""Mel bands quieter than this count as this quiet, so that silence compares as silence."""

_STFT_SIZES = (512, 1024, 2048)
_LEAST, _QUIET = 10 ** (_FLOOR_DB / 20), 10 ** (-60 / 20)


@dataclass(frozen=True)
class Power:
    """The power of a signal and of the error in it, summed over `n_values` finite values.

    Sums of several are one: their ratio is the pooled one, in which a quiet sample weighs little.
    """

    signal: float = 0.0
    error: float = 0.0
    n_values: int = 0

    @classmethod
    def of(cls, reference: _Audio, estimate: _Audio | None) -> Power:
        """Over the values that the reference has finite; without an estimate, all of it is error.

        What is smaller than the type's smallest normal number is zero, in both.
        """
        where = np.isfinite(reference)
        least = float(np.finfo(reference.dtype).tiny)
        ref = _above(reference[where].astype(np.float64), least)
        if estimate is None:
            return cls(float(ref @ ref), float(ref @ ref), ref.size)
        found = np.where(np.isfinite(estimate), estimate, 0)[where].astype(np.float64)
        noise = _above(found - ref, least)
        return cls(float(ref @ ref), float(noise @ noise), ref.size)

    def __add__(self, other: Power) -> Power:
        """Both together."""
        return Power(
            self.signal + other.signal, self.error + other.error, self.n_values + other.n_values
        )

    @property
    def snr_db(self) -> float:
        """Their ratio in dB; a signal of zeros is equal or not."""
        return _ratio_db(self.signal, self.error)


def _above(values: _Audio, least: float) -> _Audio:
    return np.where(np.abs(values) < least, 0, values)


def si_sdr_db(reference: _Audio, estimate: _Audio) -> float:
    """Scale-invariant signal-to-distortion ratio of `[samples]` (Le Roux et al. 2019), in dB."""
    ref = reference.astype(np.float64) - reference.mean(dtype=np.float64)
    est = estimate.astype(np.float64) - estimate.mean(dtype=np.float64)
    energy = float(ref @ ref)
    if energy == 0:
        return _CEILING_DB if not est.any() else -_CEILING_DB
    target = (float(est @ ref) / energy) * ref
    return _ratio_db(float(target @ target), float(np.sum((est - target) ** 2)))


def snr_db(reference: _Audio, estimate: _Audio) -> float:
    """Signal-to-noise ratio of equal shapes, in dB."""
    ref = reference.astype(np.float64).ravel()
    noise = estimate.astype(np.float64).ravel() - ref
    return _ratio_db(float(ref @ ref), float(noise @ noise))


def log_mel_db(reference: _Audio, estimate: _Audio, rate_hz: int) -> float:
    """Mean absolute difference of the log-mel spectrograms of `[samples]`, in dB."""
    spectrograms = (log_mel_spectrogram(each, rate_hz) for each in (reference, estimate))
    return float(np.abs(np.subtract(*spectrograms)).mean())


def log_mel_spectrogram(samples: _Audio, rate_hz: int) -> NDArray[np.float32]:
    """Power mel spectrogram in dB relative to full scale, float32 `[frames, N_MELS]`."""
    mel = _magnitudes(samples, _N_FFT, _HOP_LENGTH) ** 2 @ mel_filters(rate_hz).T
    return np.asarray(10 * np.log10(np.maximum(mel, 10 ** (_FLOOR_DB / 10))), np.float32)


def stft_distance(reference: _Audio, estimate: _Audio) -> float:
    """Multi-resolution STFT distance of `[samples]` (Yamamoto et al. 2020, "Parallel WaveGAN").

    The mean over windows of 512, 1024 and 2048 samples, a quarter of one apart, of the spectral
    convergence and the mean absolute difference of the logarithms of the magnitudes. Magnitudes
    below -80 dBFS count as that; the convergence of sound below -60 dBFS is by that level.
    """
    total = 0.0
    for size in _STFT_SIZES:
        ref, est = (_magnitudes(each, size, size // 4) for each in (reference, estimate))
        level = max(float(np.linalg.norm(ref)), _QUIET * ref.size**0.5)
        total += float(np.linalg.norm(ref - est)) / level
        logs = (np.log(np.maximum(each, _LEAST)) for each in (ref, est))
        total += float(np.abs(np.subtract(*logs)).mean())
    return total / len(_STFT_SIZES)


def _magnitudes(samples: _Audio, size: int, hop: int) -> NDArray[Any]:
    """Of windows of `size` samples, `[frames, bins]`: 1 is a sine at full scale."""
    padded = np.pad(samples.astype(np.float32), size // 2)
    if len(padded) < size:
        padded = np.pad(padded, (0, size - len(padded)))
    window = np.hanning(size).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(np.abs(np.fft.rfft(frames * window, axis=1) / (window.sum() / 2)))


@cache
def mel_filters(rate_hz: int) -> NDArray[np.float64]:
    """Triangular filters, equally spaced in mel (O'Shaughnessy 1987), `[N_MELS, bins]`."""
    top_mel = 2595 * np.log10(1 + rate_hz / 2 / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, top_mel, _N_MELS + 2) / 2595) - 1)
    bins_hz = np.fft.rfftfreq(_N_FFT, 1 / rate_hz)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising, falling = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _ratio_db(signal: float, noise: float) -> float:
    if noise <= signal * 10 ** (-_CEILING_DB / 10):
        return _CEILING_DB
    if signal == 0:
        return -_CEILING_DB
    return float(10 * np.log10(signal / noise))
