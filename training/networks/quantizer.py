"""Residual vector quantizer with factorised, L2-normalised codes (Zeghidour 2021; Kumar 2023).

It is fitted to data (`quantizer_init`) and then frozen, so no gradient passes through it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import NormedConv
from training.networks.typed_list import TypedList


@dataclass(frozen=True)
class Quantized:
    """What the quantizer answers: z `[b, latent, t]`, codes int64 `[b, n, t]`."""

    z: Tensor
    codes: Tensor


class VectorQuantizer(nn.Module):
    """One codebook: projected to `codebook_dim`, looked up by direction, projected back."""

    def __init__(self, latent_dim: int, codebook_size: int, codebook_dim: int) -> None:
        super().__init__()
        self.in_proj = NormedConv(latent_dim, codebook_dim, 1)
        self.out_proj = NormedConv(codebook_dim, latent_dim, 1)
        self.codebook = nn.Embedding(codebook_size, codebook_dim)

    def nearest(self, latent: Tensor) -> Tensor:
        """`[b, dim, t]` -> int64 `[b, t]`: nearest row, both sides L2-normalised; ties: first."""
        batch, dim, frames = latent.shape
        rows = functional.normalize(self.codebook.weight, eps=1e-12)
        points = functional.normalize(latent.transpose(1, 2).reshape(-1, dim), eps=1e-12)
        distance = (
            points.square().sum(1, keepdim=True)
            - 2.0 * points @ rows.T
            + rows.square().sum(1, keepdim=True).T
        )
        return distance.argmin(1).reshape(batch, frames)

    def decode(self, codes: Tensor) -> Tensor:
        """int64 `[b, t]` -> `[b, latent, t]`."""
        y: Tensor = self.out_proj(self.codebook(codes).transpose(1, 2))
        return y

    def forward(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """`[b, latent, t]` -> (its quantized part `[b, latent, t]`, codes int64 `[b, t]`)."""
        codes = self.nearest(self.in_proj(residual))
        return self.decode(codes), codes


class ResidualVectorQuantizer(nn.Module):
    """A chain of codebooks, each on what the ones before left over."""

    def __init__(
        self, latent_dim: int, n_codebooks: int, codebook_size: int, codebook_dim: int
    ) -> None:
        super().__init__()
        self.quantizers: TypedList[VectorQuantizer] = TypedList(
            VectorQuantizer(latent_dim, codebook_size, codebook_dim) for _ in range(n_codebooks)
        )

    def forward(self, latent: Tensor, active: Tensor | None = None) -> Quantized:
        """`[b, latent, t]` -> Quantized; `active` int64 `[b]`: codebooks used by each item."""
        residual, z = latent, torch.zeros_like(latent)
        codes: list[Tensor] = []
        for index, quantizer in enumerate(self.quantizers):
            part, chosen = quantizer(residual)
            residual = residual - part
            if active is not None:
                part = part * (active > index).to(part.dtype)[:, None, None]
            z = z + part
            codes.append(chosen)
        return Quantized(z, torch.stack(codes, 1))

    def from_codes(self, codes: Tensor) -> Tensor:
        """int64 `[b, n, t]` -> quantized latent `[b, latent, t]` of the first n codebooks."""
        parts = [
            quantizer.decode(codes[:, index])
            for index, quantizer in enumerate(self.quantizers)
            if index < codes.shape[1]
        ]
        return torch.stack(parts).sum(0)
