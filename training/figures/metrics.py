"""The figures of the model card, as pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.figures.mel import mel_filters

N_FFT, HOP, BANDS = 2048, 512, 80

MEL_FLOOR_DB = -60.0


def log_mel_db(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """80-band log-mel power `[80, frames]` in dB (n_fft 2048, hop 512), floored at -60 dB.

    0 dB is white noise of unit rms."""
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(N_FFT) / N_FFT)
    padded = np.pad(audio.astype(np.float64), N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / np.sum(window**2)
    mel = mel_filters(N_FFT, BANDS) @ power.T
    return np.asarray(10.0 * np.log10(np.maximum(mel, 10.0 ** (MEL_FLOOR_DB / 10.0))), np.float32)


def log_mel_distance_db(estimate: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """Mean absolute difference of the two log-mel spectra in dB."""
    return float(np.abs(log_mel_db(estimate) - log_mel_db(target)).mean())


def usage(codes: NDArray[np.int64], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Codes `[n, frames]` -> (perplexity, share of entries used), each `[n]`."""
    perplexity, share = [], []
    for row in codes:
        counts = np.bincount(row, minlength=size)
        p = counts[counts > 0] / counts.sum()
        perplexity.append(float(np.exp(-(p * np.log(p)).sum())))
        share.append(float((counts > 0).mean()))
    return np.array(perplexity), np.array(share)
