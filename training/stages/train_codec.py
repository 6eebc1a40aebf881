"""The codec's stages: the autoencoder first, and last the decoder alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from optimize.truth.audio_metrics import si_sdr_db
from training.config import HOP_SAMPLES, SEED, Stage
from training.data.audio import Audio
from training.data.pool import Pool, batch
from training.figures.mel import mel_filters
from training.figures.metrics import log_mel_distance_db
from training.networks.codec import Codec, unit_variance_init
from training.stages.loop import Validate, run_stage

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


def _reconstruction_losses(decoded: Tensor, target: Tensor) -> dict[str, Tensor]:
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


# A natural-log unit of mel power is 4.3 dB, hence its smaller weight.
_WEIGHTS = {"complex": 4.0, "mel": 2.0, "wave": 4.0}
_CLIP = 20.0
# As the original codec was trained.
BETAS = (0.8, 0.99)


def weighted(decoded: Tensor, target: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The reconstruction loss of `[b, 1, samples]` pairs, and its terms."""
    terms = _reconstruction_losses(decoded, target)
    loss = torch.stack([_WEIGHTS[name] * term for name, term in terms.items()]).sum()
    return loss, {name: term.item() for name, term in terms.items()}


def _batches(pool: Pool, stage: Stage) -> Callable[[int], tuple[Tensor, np.random.Generator]]:
    """Batch by step number, so that a resumed run goes on with the data it would have seen."""

    def draw(step: int) -> tuple[Tensor, np.random.Generator]:
        # The bytes of the name: `hash` of a text is another in every process.
        rng = np.random.default_rng([SEED, sum(stage.name.encode()), step])
        return batch(pool, rng, stage.batch, stage.frames * HOP_SAMPLES), rng

    return draw


def reconstruction_figures(
    tracks: list[Audio], reconstruct: Callable[[nn.Module, Tensor], Tensor]
) -> Validate:
    """Mean SI-SDR and log-mel distance of `tracks`; the score weighs a dB of either the same.

    `reconstruct(codec, audio)` maps `[1, 1, samples]` to the same shape.
    """

    def validate(codec: nn.Module) -> dict[str, float]:
        rows = []
        for track in tracks:
            heard = reconstruct(codec, torch.from_numpy(track)[None, None])[0, 0].numpy()
            rows.append((si_sdr_db(track, heard), log_mel_distance_db(heard, track)))
        si_sdr, log_mel = (float(value) for value in np.mean(rows, axis=0))
        return {"si_sdr_db": si_sdr, "log_mel_db": log_mel, "score": si_sdr - 2.0 * log_mel}

    return validate


def _unquantized(codec: nn.Module, audio: Tensor) -> Tensor:
    assert isinstance(codec, Codec)
    decoded: Tensor = codec.decoder(codec.encoder(audio))
    return decoded


def quantized(codec: nn.Module, audio: Tensor) -> Tensor:
    """Through all codebooks, as the shipped codec is used."""
    assert isinstance(codec, Codec)
    return codec.decode(codec.encode(audio))


def train_autoencoder(
    codec: Codec, pool: Pool, validation: list[Audio], stage: Stage, folder: Path
) -> list[dict[str, float]]:
    """Encoder and decoder without the quantizer, from a unit-variance start."""
    draw = _batches(pool, stage)
    unit_variance_init(codec, draw(0)[0])
    parameters = [*codec.encoder.parameters(), *codec.decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, betas=BETAS)

    def step_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        audio, _ = draw(step)
        return weighted(codec.decoder(codec.encoder(audio)), audio)

    figures = reconstruction_figures(validation, _unquantized)
    return run_stage(
        stage, codec, optimizer, step_loss, figures, folder, lambda _: codec.clamp_alpha(), _CLIP
    )


@torch.no_grad()
def latents_of(codec: Codec, pool: Pool, crops: int, frames: int, seed: int) -> Tensor:
    """Encoder latents `[crops * frames, latent]` of random crops, to fit the quantizer to."""
    rng = np.random.default_rng(seed)
    parts = [codec.encoder(batch(pool, rng, 1, frames * HOP_SAMPLES))[0].T for _ in range(crops)]
    return torch.cat(parts)


def random_codebooks(rng: np.random.Generator, size: int, n_codebooks: int) -> Tensor:
    """Quantizer dropout: half of the items use all codebooks, half a random number of them."""
    active = torch.full((size,), n_codebooks)
    few = torch.from_numpy(rng.integers(1, n_codebooks + 1, size))
    return torch.where(torch.from_numpy(rng.random(size) < 0.5), few, active)


def train_decoder(
    codec: Codec, pool: Pool, validation: list[Audio], stage: Stage, folder: Path
) -> list[dict[str, float]]:
    """The decoder alone: encoder and quantizer are frozen, so the tokens stay what they are."""
    draw = _batches(pool, stage)
    optimizer = torch.optim.Adam(codec.decoder.parameters(), betas=BETAS)
    n_codebooks = len(codec.quantizer.quantizers)

    def step_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        audio, rng = draw(step)
        with torch.no_grad():
            active = random_codebooks(rng, stage.batch, n_codebooks)
            z = codec.quantizer(codec.encoder(audio), active).z
        return weighted(codec.decoder(z), audio)

    figures = reconstruction_figures(validation, quantized)
    return run_stage(
        stage, codec, optimizer, step_loss, figures, folder, lambda _: codec.clamp_alpha(), _CLIP
    )
