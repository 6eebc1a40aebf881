"""The masks of training and evaluation: the cosine schedule, conditioning codebooks kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def random_mask(
    codes: Tensor, r: Tensor, n_conditioning: int, generator: torch.Generator
) -> Tensor:
    """1 = to be predicted, int64 like codes `[b, n, t]`: each position with chance cos(pi r / 2).

    `r` float `[b]` in [0, 1): the place in the sampling schedule. At least one position is
    masked in every item."""
    chance = torch.cos(r * math.pi / 2.0)[:, None, None]
    mask = (torch.rand(codes.shape, generator=generator) < chance).long()
    mask[:, :n_conditioning] = 0
    empty = mask.flatten(1).sum(1) == 0
    mask[empty, -1, 0] = 1
    return mask
