"""The joint stage: encoder, quantizer and decoder together, after the quantizer was fitted to data.

Gradients pass the quantizer straight through (van den Oord et al. 2017). A look-up by direction
does not answer to magnitude, so with the usual commitment in the projected space latents grow
without bound; here commitment and codebook losses compare whole latents with what the codebooks
give back, in units of the variance that the quantizer was fitted to. (In units of the current
variance the punishment would fade as latents grow, and they do.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.config import HOP_SAMPLES, SEED, Stage
from training.data.audio import Audio
from training.data.pool import Pool, batch
from training.networks.codec import Codec
from training.networks.quantizer import ResidualVectorQuantizer
from training.stages.loop import run_stage
from training.stages.train_codec import (
    BETAS,
    quantized,
    random_codebooks,
    reconstruction_figures,
    weighted,
)

COMMITMENT, CODEBOOK = 4.0, 1.0
_QUANTIZER_LR_SCALE = 2.0
_REVIVE_EVERY_STEPS = 100


class Usage:
    """Which entries were chosen since the last revival, bool `[n_codebooks, codebook_size]`."""

    def __init__(self, quantizer: ResidualVectorQuantizer) -> None:
        size = quantizer.quantizers[0].codebook.num_embeddings
        self.used = torch.zeros(len(quantizer.quantizers), size, dtype=torch.bool)
        self.recent: list[Tensor] = []

    def note(self, codes: Tensor, latent: Tensor) -> None:
        """Codes int64 `[b, n, t]` of latents `[b, latent, t]`."""
        for index, row in enumerate(codes.transpose(0, 1).flatten(1)):
            self.used[index, row] = True
        # Points for entries to restart at: eight batches are enough, all would fill the memory.
        self.recent = [*self.recent[-7:], latent.detach()]

    @torch.no_grad()
    def revive(self, quantizer: ResidualVectorQuantizer, rng: np.random.Generator) -> int:
        """Dead entries restart at recent residuals; returns how many did."""
        residual = torch.cat([z.transpose(0, 1).flatten(1) for z in self.recent], 1)[None]
        revived = 0
        for index, each in enumerate(quantizer.quantizers):
            points = each.in_proj(residual)[0].T
            dead = torch.nonzero(~self.used[index])[:, 0]
            picks = rng.choice(len(points), min(len(dead), len(points)), replace=False)
            each.codebook.weight[dead[: len(picks)]] = points[torch.from_numpy(picks)]
            revived += len(picks)
            residual = residual - each(residual)[0]
        self.used.zero_()
        return revived


def _quantizer_losses(
    quantizer: ResidualVectorQuantizer, latent: Tensor, active: Tensor, variance: float
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Latents `[b, latent, t]` -> (straight-through z, codes `[b, n, t]`, the two losses).

    `active` int64 `[b]`: codebooks used by each item. `codebook` moves the tables and their
    output projections towards the latents, `commitment` the latents towards what all codebooks
    give; both in units of `variance`.
    """
    fixed = latent.detach()
    found = quantizer(fixed, active)
    whole = quantizer.from_codes(found.codes)
    losses = {
        "codebook": (whole - fixed).square().mean() / variance,
        "commitment": (latent - whole.detach()).square().mean() / variance,
    }
    return latent + (found.z.detach() - fixed), found.codes, losses


@torch.no_grad()
def _fitted_variance(quantizer: ResidualVectorQuantizer) -> float:
    """The variance of what the codebooks give, each entry counted once."""
    rows = [q.out_proj(q.codebook.weight.T[None])[0] for q in quantizer.quantizers]
    return float(sum(row.var(1).mean() for row in rows))


def train_joint(
    codec: Codec, pool: Pool, validation: list[Audio], stage: Stage, folder: Path
) -> list[dict[str, float]]:
    """Everything together from a fitted quantizer; the input projections stay as fitted."""
    projections = [
        parameter
        for each in codec.quantizer.quantizers
        for parameter in (each.codebook.weight, *each.out_proj.parameters())
    ]
    groups: list[dict[str, object]] = [
        {"params": [*codec.encoder.parameters(), *codec.decoder.parameters()]},
        {"params": projections, "lr_scale": _QUANTIZER_LR_SCALE},
    ]
    optimizer = torch.optim.Adam(groups, betas=BETAS)
    n_codebooks = len(codec.quantizer.quantizers)
    usage = Usage(codec.quantizer)
    variance = _fitted_variance(codec.quantizer)
    generator = np.random.default_rng([SEED, n_codebooks])

    def step_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng([SEED, sum(stage.name.encode()), step])
        audio = batch(pool, rng, stage.batch, stage.frames * HOP_SAMPLES)
        latent = codec.encoder(audio)
        active = random_codebooks(rng, stage.batch, n_codebooks)
        z, codes, losses = _quantizer_losses(codec.quantizer, latent, active, variance)
        usage.note(codes, latent)
        loss, figures = weighted(codec.decoder(z), audio)
        figures |= {name: value.item() for name, value in losses.items()}
        figures["latent_rms"] = latent.detach().square().mean().sqrt().item()
        return loss + CODEBOOK * losses["codebook"] + COMMITMENT * losses["commitment"], figures

    def after_step(step: int) -> None:
        codec.clamp_alpha()
        if (step + 1) % _REVIVE_EVERY_STEPS == 0:
            usage.revive(codec.quantizer, generator)

    figures = reconstruction_figures(validation, quantized)
    return run_stage(stage, codec, optimizer, step_loss, figures, folder, after_step, clip=20.0)
