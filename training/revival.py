"""Dead-code revival: entries that no frame chooses any more restart at a current latent."""

from __future__ import annotations

import torch
from torch import Tensor

from training.codec import Codec


class Revival:
    """Counts how often every entry is chosen and moves the unused ones."""

    def __init__(self, codec: Codec, every_steps: int, generator: torch.Generator) -> None:
        self._codec, self._every, self._generator = codec, every_steps, generator
        tables = codec.codebooks()
        self._counts = torch.zeros(tables.shape[:2], dtype=torch.int64)

    def count(self, codes: Tensor) -> None:
        """Add the codes int64 `[b, n, t]` of one batch."""
        for index, row in enumerate(codes.transpose(0, 1).flatten(1)):
            self._counts[index] += torch.bincount(row, minlength=self._counts.shape[1])

    @torch.no_grad()
    def step(self, step: int, latent: Tensor) -> int:
        """Every `every_steps`, move dead entries to latents `[b, latent, t]`; answers how many."""
        if (step + 1) % self._every:
            return 0
        residual, moved = latent, 0
        for index, quantizer in enumerate(self._codec.quantizer.quantizers):
            points = quantizer.in_proj(residual).transpose(1, 2).flatten(0, 1)
            residual = residual - quantizer(residual)[0]
            dead = self._counts[index] == 0
            picks = torch.randint(len(points), (int(dead.sum()),), generator=self._generator)
            quantizer.codebook.weight[dead] = points[picks]
            moved += int(dead.sum())
        self._counts.zero_()
        return moved
