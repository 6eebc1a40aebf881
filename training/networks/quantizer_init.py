"""A residual quantizer fitted to latents: PCA and k-means, codebook after codebook.

The look-up compares directions only, which loses magnitude. Seven of the eight values are the
residual's leading principal components; the eighth is one constant (a bias of `in_proj`), so
that a direction tells small residuals from large ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.networks.codec import Codec
from training.networks.quantizer import VectorQuantizer

_KMEANS_ROUNDS = 12
# The constant over the rms of the seven components: large is nearly Euclidean k-means.
_CONSTANT_SHARE = 1.5


def _k_means(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """`[n, dim]` -> rows `[clusters, dim]`: assigned by direction, the mean of what is assigned.

    Empty clusters restart at random points."""
    rows = points[torch.randperm(len(points), generator=generator)[:clusters]].clone()
    directions = functional.normalize(points)
    for _ in range(_KMEANS_ROUNDS):
        nearest = (directions @ functional.normalize(rows).T).argmax(1)
        counts = torch.bincount(nearest, minlength=clusters)
        sums = torch.zeros_like(rows).index_add_(0, nearest, points)
        rows = sums / counts.clamp(min=1)[:, None]
        empty = counts == 0
        picks = torch.randint(len(points), (int(empty.sum()),), generator=generator)
        rows[empty] = points[picks]
    return rows


def _fit(quantizer: VectorQuantizer, residual: Tensor, generator: torch.Generator) -> None:
    """Set one codebook and its projections from residuals `[n, latent]`."""
    mean = residual.mean(0)
    size, dim = quantizer.codebook.weight.shape
    _, axes = torch.linalg.eigh((residual - mean).T @ (residual - mean))
    leading = axes[:, -(dim - 1) :].T
    parts = (residual - mean) @ leading.T
    constant = _CONSTANT_SHARE * parts.square().sum(1).mean().sqrt()
    points = torch.cat([parts, constant.expand(len(parts), 1)], 1)
    quantizer.codebook.weight.copy_(_k_means(points, size, generator))
    # Of a gain of 0, so that any direction does: the eighth value is the bias alone.
    spare = functional.normalize(torch.randn(1, residual.shape[1], generator=generator))
    quantizer.in_proj.weight_v.copy_(torch.cat([leading, spare])[:, :, None])
    quantizer.in_proj.weight_g.fill_(1.0)[-1] = 0.0
    quantizer.in_proj.bias.copy_(torch.cat([-leading @ mean, constant[None]]))
    back = torch.cat([leading.T, torch.zeros(len(mean), 1)], 1)
    # A gain of |v| makes the folded weight `g * v / |v|` the matrix itself.
    norms = back.norm(dim=1).clamp(min=1e-6)
    quantizer.out_proj.weight_v.copy_(back[:, :, None])
    quantizer.out_proj.weight_g.copy_(norms[:, None, None])
    quantizer.out_proj.bias.copy_(mean)


@torch.no_grad()
def fit_quantizer(codec: Codec, latents: Tensor, seed: int) -> list[float]:
    """Fit all codebooks to latents `[n, latent]`; returns the variance share left after each."""
    generator = torch.Generator().manual_seed(seed)
    residual, left = latents.clone(), []
    total = (latents - latents.mean(0)).square().sum()
    for quantizer in codec.quantizer.quantizers:
        _fit(quantizer, residual, generator)
        part, _ = quantizer(residual.T[None])
        residual = residual - part[0].T
        left.append(float(residual.square().sum() / total))
    return left
