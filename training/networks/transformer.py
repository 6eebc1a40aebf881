"""The masked-token transformer in eager PyTorch, under the original's parameter names.

The original's LoRA tensors are optional here: `load` folds them in, training has none.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import MASK
from training.networks.layers import NormedConv
from training.networks.typed_list import TypedList

BUCKETS, MAX_DISTANCE = 32, 128
_NORM_EPSILON = 1e-6
_LORA_SCALE = 1.0 / 8.0


class _RMSNorm(nn.Module):
    """`x * rsqrt(mean(x^2) + 1e-6) * weight` over the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """`[..., width]` -> the same shape."""
        y: Tensor = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + _NORM_EPSILON) * self.weight
        return y


def _relative_buckets(frames: int) -> Tensor:
    """T5 buckets int64 `[query, key]` (Raffel et al. 2020), bidirectional, 32, up to 128."""
    position = torch.arange(frames)
    offset = position[None, :] - position[:, None]
    half, exact = BUCKETS // 2, BUCKETS // 4
    distance = offset.abs()
    ratio = torch.log(distance.clamp(min=1).float() / exact) / math.log(MAX_DISTANCE / exact)
    far = (exact + (ratio * (half - exact)).long()).clamp(max=half - 1)
    return (offset > 0).long() * half + torch.where(distance < exact, distance, far)


class SelfAttention(nn.Module):
    """Multi-head attention over all frames with an additive bias; no projections have biases."""

    def __init__(self, width: int, n_heads: int, has_bias: bool) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.w_qs = nn.Linear(width, width, bias=False)
        self.w_ks = nn.Linear(width, width, bias=False)
        self.w_vs = nn.Linear(width, width, bias=False)
        self.fc = nn.Linear(width, width, bias=False)
        if has_bias:
            self.relative_attention_bias = nn.Embedding(BUCKETS, n_heads)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """`[b, t, width]`, bias `[1, heads, t, t]` -> `[b, t, width]`."""
        batch, frames, width = x.shape

        def heads(projection: nn.Linear) -> Tensor:
            split: Tensor = projection(x).view(batch, frames, self.n_heads, -1)
            return split.transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            heads(self.w_qs), heads(self.w_ks), heads(self.w_vs), attn_mask=bias
        )
        y: Tensor = self.fc(mixed.transpose(1, 2).reshape(batch, frames, width))
        return y


class _GatedFeedForward(nn.Module):
    """`w_2(p1 * gelu_tanh(p2))` with p1, p2 the halves of `w_1(x)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, 4 * width, bias=False)
        self.w_2 = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, width]` -> the same shape."""
        first, second = self.w_1(x).chunk(2, -1)
        y: Tensor = self.w_2(first * functional.gelu(second, approximate="tanh"))
        return y


class _Layer(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, width: int, n_heads: int, has_bias: bool, dropout: float) -> None:
        super().__init__()
        self.norm_1 = _RMSNorm(width)
        self.self_attn = SelfAttention(width, n_heads, has_bias)
        self.norm_3 = _RMSNorm(width)
        self.feed_forward = _GatedFeedForward(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """`[b, t, width]` -> the same shape."""
        x = x + self.dropout(self.self_attn(self.norm_1(x), bias))
        y: Tensor = x + self.dropout(self.feed_forward(self.norm_3(x)))
        return y


class _TransformerStack(nn.Module):
    """The layers and the final norm; layer 0's bias table serves every layer."""

    def __init__(self, width: int, n_heads: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.layers: TypedList[_Layer] = TypedList(
            _Layer(width, n_heads, index == 0, dropout) for index in range(n_layers)
        )
        self.norm = _RMSNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, width]` -> the same shape."""
        table = self.layers[0].self_attn.relative_attention_bias
        bias = table(_relative_buckets(x.shape[1])).permute(2, 0, 1)[None]
        for layer in self.layers:
            x = layer(x, bias)
        y: Tensor = self.norm(x)
        return y


class _CodebookEmbedding(nn.Module):
    """Codes looked up in the codec's own tables (plus a learned MASK row), then a Conv k1."""

    def __init__(self, n_codebooks: int, dim: int, width: int) -> None:
        super().__init__()
        self.special = nn.ParameterDict({"MASK": nn.Parameter(torch.randn(n_codebooks, dim))})
        self.out_proj = nn.Conv1d(n_codebooks * dim, width, 1)

    def forward(self, codes: Tensor, tables: Tensor) -> Tensor:
        """int64 `[b, n, t]`, tables `[n, 1024, dim]` -> `[b, width, t]`."""
        full = torch.cat([tables, self.special["MASK"][:, None]], 1)
        parts = [functional.embedding(codes[:, i], full[i]) for i in range(codes.shape[1])]
        y: Tensor = self.out_proj(torch.cat(parts, -1).transpose(1, 2))
        return y


class VampNet(nn.Module):
    """Codes with MASK -> logits of the predicted codebooks."""

    tables: Tensor

    def __init__(
        self,
        tables: Tensor,
        n_heads: int,
        n_layers: int,
        n_codebooks: int,
        n_conditioning_codebooks: int,
        latent_dim: int,
        embedding_dim: int,
        vocab_size: int,
        dropout: float,
        **_without_effect: object,
    ) -> None:
        super().__init__()
        self.register_buffer("tables", tables[:n_codebooks].clone(), persistent=False)
        self.n_predicted = n_codebooks - n_conditioning_codebooks
        self.n_conditioning, self.vocab_size = n_conditioning_codebooks, vocab_size
        self.embedding = _CodebookEmbedding(n_codebooks, latent_dim, embedding_dim)
        self.transformer = _TransformerStack(embedding_dim, n_heads, n_layers, dropout)
        # A list of one, because the original's head is a sequence (classifier.layers.0).
        self.classifier = nn.ModuleDict(
            {"layers": TypedList([NormedConv(embedding_dim, vocab_size * self.n_predicted, 1)])}
        )

    def forward(self, codes: Tensor) -> Tensor:
        """int64 `[b, n, t]`, 1024 = MASK -> `[b, 1024, t * predicted]`, frame-major positions."""
        x = self.embedding(codes, self.tables)
        x = self.transformer(x.transpose(1, 2)).transpose(1, 2)
        logits: Tensor = self.head(x)
        batch, _, frames = logits.shape
        split = logits.view(batch, self.vocab_size, self.n_predicted, frames)
        return split.transpose(2, 3).reshape(batch, self.vocab_size, frames * self.n_predicted)

    @property
    def head(self) -> NormedConv:
        """The only layer of the classifier."""
        layers = self.classifier["layers"]
        assert isinstance(layers, TypedList)
        return cast("NormedConv", layers[0])

    def flat(self, codes: Tensor) -> Tensor:
        """int64 `[b, n, t]` -> the predicted codebooks `[b, t * predicted]`, as in the logits."""
        return codes[:, self.n_conditioning :].transpose(1, 2).flatten(1)


def masked(codes: Tensor, mask: Tensor) -> Tensor:
    """The codes with MASK where `mask` is 1."""
    return torch.where(mask.bool(), torch.full_like(codes, MASK), codes)


def fold_lora(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without LoRA tensors: `weight + B @ A / 8` (loralib, alpha 1, rank 8)."""
    folded = {name: value for name, value in state.items() if ".lora_" not in name}
    for name, down in state.items():
        if name.endswith(".lora_A"):
            stem = name.removesuffix("lora_A")
            product = state[f"{stem}lora_B"] @ down
            folded[f"{stem}weight"] = state[f"{stem}weight"] + product * _LORA_SCALE
    return folded
