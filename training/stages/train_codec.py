"""The codec's stages: the autoencoder first, and last the decoder alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.config import HOP_SAMPLES, SEED, Stage
from training.data.pool import Pool, batch
from training.figures.losses import reconstruction_losses
from training.networks.codec import Codec, unit_variance_init
from training.stages.loop import run_stage

# A natural-log unit of mel power is 4.3 dB, hence its smaller weight.
_WEIGHTS = {"complex": 4.0, "mel": 1.0, "wave": 4.0}
# The tokens are final by then and bound the phase that can be had; colour can still be won.
_DECODER_WEIGHTS = {"complex": 4.0, "mel": 2.0, "wave": 4.0}
BETAS = (0.8, 0.99)


def weighted(
    decoded: Tensor, target: Tensor, weights: dict[str, float] = _WEIGHTS
) -> tuple[Tensor, dict[str, float]]:
    """The reconstruction loss of `[b, 1, samples]` pairs, and its terms."""
    terms = reconstruction_losses(decoded, target)
    loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return loss, {name: term.item() for name, term in terms.items()}


def _batches(pool: Pool, stage: Stage) -> Callable[[int], tuple[Tensor, np.random.Generator]]:
    """Batch by step number, so that a resumed run goes on with the data it would have seen."""

    def draw(step: int) -> tuple[Tensor, np.random.Generator]:
        rng = np.random.default_rng([SEED, sum(stage.name.encode()), step])
        return batch(pool, rng, stage.batch, stage.frames * HOP_SAMPLES), rng

    return draw


def train_autoencoder(
    codec: Codec, pool: Pool, stage: Stage, folder: Path
) -> list[dict[str, float]]:
    """Encoder and decoder without the quantizer, from a unit-variance start."""
    draw = _batches(pool, stage)
    unit_variance_init(codec, draw(0)[0])
    parameters = [*codec.encoder.parameters(), *codec.decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, betas=BETAS)

    def step_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        audio, _ = draw(step)
        return weighted(codec.decoder(codec.encoder(audio)), audio)

    return run_stage(
        stage, codec, optimizer, step_loss, folder, lambda _step: codec.clamp_alpha(), clip=20.0
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


def train_decoder(codec: Codec, pool: Pool, stage: Stage, folder: Path) -> list[dict[str, float]]:
    """The decoder alone: encoder and quantizer are frozen, so the tokens stay what they are."""
    draw = _batches(pool, stage)
    optimizer = torch.optim.Adam(codec.decoder.parameters(), betas=BETAS)
    n_codebooks = len(codec.quantizer.quantizers)

    def step_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        audio, rng = draw(step)
        with torch.no_grad():
            active = random_codebooks(rng, stage.batch, n_codebooks)
            z = codec.quantizer(codec.encoder(audio), active).z
        return weighted(codec.decoder(z), audio, _DECODER_WEIGHTS)

    return run_stage(
        stage, codec, optimizer, step_loss, folder, lambda _step: codec.clamp_alpha(), clip=20.0
    )
