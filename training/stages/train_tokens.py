"""Masked-token training of coarse and c2f."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.config import SEED, Stage
from training.data.tokens import TokenSet
from training.figures.masking import random_mask
from training.networks.token_init import tie
from training.networks.transformer import VampNet, masked
from training.stages.loop import run_stage

_LABEL_SMOOTHING = 0.1
_BETAS = (0.9, 0.95)
_WEIGHT_DECAY = 0.01
_FAST_PARAMETERS = ("weight_g", "relative_attention_bias.weight")


def _masked_cross_entropy(
    model: VampNet, codes: Tensor, mask: Tensor, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """Codes and mask `[b, n, t]` -> (mean loss, share of argmax hits) over the masked positions."""
    chosen = model.flat(mask).bool()
    logits = model(masked(codes, mask)).transpose(1, 2)[chosen]
    target = model.flat(codes)[chosen]
    loss = functional.cross_entropy(logits, target, label_smoothing=label_smoothing)
    return loss, (logits.argmax(1) == target).float().mean()


def train_transformer(
    model: VampNet, data: TokenSet, stage: Stage, folder: Path
) -> list[dict[str, float]]:
    """Train with dropout and label smoothing as the original; resumable."""
    n_codebooks = len(model.tables)
    torch.manual_seed(SEED)
    tie(model, torch.from_numpy(data.unigram(n_codebooks)).float())
    # Gains and relative biases are large numbers that small steps would never reach.
    fast = [p for name, p in model.named_parameters() if name.endswith(_FAST_PARAMETERS)]
    slow = [p for name, p in model.named_parameters() if not name.endswith(_FAST_PARAMETERS)]
    groups = [
        {"params": slow, "lr_scale": 1.0},
        {"params": fast, "lr_scale": 10.0, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=_BETAS, weight_decay=_WEIGHT_DECAY)
    model.train()

    def step_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng([SEED, sum(stage.name.encode()), step])
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
        codes = data.windows(rng, stage.batch, stage.frames)[:, :n_codebooks]
        r = torch.from_numpy(rng.random(stage.batch)).float()
        mask = random_mask(codes, r, model.n_conditioning, generator)
        loss, hits = _masked_cross_entropy(model, codes, mask, _LABEL_SMOOTHING)
        return loss, {"accuracy": hits.item()}

    log = run_stage(stage, model, optimizer, step_loss, folder)
    model.eval()
    return log
