"""The figures of the model card, as pure functions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from training.losses import mel_matrix, spectrum

MEL_FLOOR_DB = -60.0


def si_sdr_db(estimate: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """Scale-invariant signal-to-distortion ratio of `[samples]` pairs (Le Roux et al. 2019)."""
    estimate, target = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (estimate, target))
    projected = target * (estimate @ target) / (target @ target + 1e-12)
    noise = estimate - projected
    return float(10.0 * np.log10((projected @ projected + 1e-12) / (noise @ noise + 1e-12)))


def log_mel_db(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """80-band log-mel power `[80, frames]` in dB (n_fft 2048, hop 512), floored at -60 dB.

    0 dB is white noise of unit rms."""
    spec = spectrum(torch.from_numpy(audio)[None, None], 2048)[0]
    power = mel_matrix(2048, 80) @ (spec.abs() ** 2)
    return (10.0 * torch.log10(power.clamp(min=10.0 ** (MEL_FLOOR_DB / 10.0)))).numpy()


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
