"""What the codec is trained on: complex spectra, log-mel spectra and the waveform itself."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from training.figures.mel import mel_filters

_STFT_SIZES = (2048, 512, 128)
_MEL_BANDS = ((2048, 80), (512, 40))
# Relative losses divide by the crop's own level; near-silent crops must not blow that up.
_LEVEL_FLOOR = 0.01
_MEL_POWER_FLOOR = 1e-6


@lru_cache(maxsize=8)
def _mel_matrix(n_fft: int, bands: int) -> Tensor:
    return torch.from_numpy(mel_filters(n_fft, bands)).float()


def _spectrum(audio: Tensor, n_fft: int) -> Tensor:
    """`[b, 1, samples]` -> complex `[b, bins, frames]`, Hann, hop a quarter; unit-rms noise: 1."""
    window = torch.hann_window(n_fft)
    spec = torch.stft(
        audio[:, 0], n_fft, n_fft // 4, window=window, center=True, return_complex=True
    )
    return spec / window.square().sum().sqrt()


def _mel_power(spec: Tensor, n_fft: int, bands: int) -> Tensor:
    power = spec.real.square() + spec.imag.square()
    return torch.matmul(_mel_matrix(n_fft, bands), power)


def reconstruction_losses(decoded: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Three terms for `[b, 1, samples]` pairs, each about 1 for an untrained codec.

    `complex`: |S - T| over the mean |T|, mean over sizes; the term that teaches phase.
    `mel`: mean absolute difference of natural-log mel power. `wave`: L1 over the mean |target|.
    """
    complex_terms: list[Tensor] = []
    mel_terms: list[Tensor] = []
    for n_fft in _STFT_SIZES:
        spec, truth = _spectrum(decoded, n_fft), _spectrum(target, n_fft)
        level = truth.abs().mean((1, 2)) + _LEVEL_FLOOR
        difference = spec - truth
        distance = (difference.real.square() + difference.imag.square() + 1e-8).sqrt()
        complex_terms.append((distance.mean((1, 2)) / level).mean())
        for size, bands in _MEL_BANDS:
            if size == n_fft:
                log_spec, log_truth = (
                    torch.log(_mel_power(s, n_fft, bands) + _MEL_POWER_FLOOR) for s in (spec, truth)
                )
                mel_terms.append(functional.l1_loss(log_spec, log_truth))
    wave_level = target.abs().mean((1, 2)) + _LEVEL_FLOOR
    wave = ((decoded - target).abs().mean((1, 2)) / wave_level).mean()
    return {
        "complex": torch.stack(complex_terms).mean(),
        "mel": torch.stack(mel_terms).mean(),
        "wave": wave,
    }
