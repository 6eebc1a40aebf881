"""Models and data small enough to train in seconds."""

from __future__ import annotations

import numpy as np

from training.config import Stage
from training.data.audio import Audio
from training.data.pool import Pool
from training.data.synth import melody

CODEC_KWARGS: dict[str, object] = {
    "encoder_dim": 2,
    "encoder_rates": [2, 6, 8, 8],
    "decoder_dim": 64,
    "decoder_rates": [6, 4, 4, 2, 2, 2],
    "n_codebooks": 4,
    "codebook_size": 64,
    "codebook_dim": 8,
    "quantizer_dropout": False,
    "sample_rate": 44100,
}


def pool() -> Pool:
    """Four seconds of one melody."""
    rng = np.random.default_rng(3)
    return Pool({"melodies": [0.1 * melody(rng, 4 * 44100)]}, {"melodies": 1.0})


def tracks() -> list[Audio]:
    """One second of it, as the validation side."""
    return [np.float32(pool().tracks["melodies"][0][: 768 * 57])]


def stage(name: str, steps: int, lr: float, frames: int) -> Stage:
    """A stage that only its number of steps ends."""
    return Stage(name, lr, steps, 1e6, 1e6, batch=2, frames=frames, warmup_steps=5)
