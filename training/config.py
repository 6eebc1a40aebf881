"""Every number of the reference training in one place."""

from __future__ import annotations

from dataclasses import dataclass

SEED = 20
SAMPLE_RATE_HZ = 44100
HOP_SAMPLES = 768
MASK = 1024
N_COARSE = 4

CODEC_KWARGS: dict[str, object] = {
    "encoder_dim": 12,
    "encoder_rates": [2, 6, 8, 8],
    "decoder_dim": 192,
    "decoder_rates": [6, 4, 4, 2, 2, 2],
    "n_codebooks": 14,
    "codebook_size": 1024,
    "codebook_dim": 8,
    "quantizer_dropout": False,
    "sample_rate": SAMPLE_RATE_HZ,
}


def transformer_kwargs(
    n_layers: int, width: int, n_heads: int, n_codebooks: int, n_conditioning: int
) -> dict[str, object]:
    """The constructor arguments of the original transformer, as its checkpoints store them."""
    return {
        "n_heads": n_heads,
        "n_layers": n_layers,
        "r_cond_dim": 0,
        "n_codebooks": n_codebooks,
        "n_conditioning_codebooks": n_conditioning,
        "latent_dim": 8,
        "embedding_dim": width,
        "vocab_size": 1024,
        "flash_attn": False,
        "noise_mode": "mask",
        "dropout": 0.1,
        "ctrl_dims": None,
        "cfg_dropout_prob": 0.2,
        "cond_dim": 0,
    }


COARSE_KWARGS = transformer_kwargs(5, 160, 5, n_codebooks=4, n_conditioning=0)
C2F_KWARGS = transformer_kwargs(3, 128, 4, n_codebooks=14, n_conditioning=4)


@dataclass(frozen=True)
class Stage:
    """Limits and learning rate of one training stage; it ends at whichever limit comes first."""

    name: str
    peak_lr: float
    max_steps: int
    max_cpu_s: float
    max_wall_s: float
    batch: int
    frames: int
    warmup_steps: int = 50


AUTOENCODER = Stage("autoencoder", 6e-4, 16000, 14000.0, 5700.0, batch=8, frames=21)
JOINT = Stage("joint", 3e-4, 6000, 9000.0, 6600.0, batch=6, frames=21, warmup_steps=100)
DECODER = Stage("decoder", 3e-4, 6000, 5400.0, 5400.0, batch=5, frames=21)
COARSE = Stage("coarse", 1.5e-3, 20000, 4000.0, 4300.0, batch=4, frames=172)
C2F = Stage("c2f", 1.5e-3, 10000, 2800.0, 3300.0, batch=4, frames=172)
STAGES = (AUTOENCODER, JOINT, DECODER, COARSE, C2F)
