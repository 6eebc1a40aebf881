"""A start for the transformers that spares them what the codec already knows.

The head starts at the unigram distribution and reads a code from the same directions that the
embedding writes it to (weight tying, Press & Wolf 2017, through the codec's tables); attention
starts as content matching with values passed through, so that copying a repeat is close at hand.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.networks.transformer import BUCKETS, SelfAttention, VampNet

_HEAD_GAIN = 0.6
_VALUE_GAIN = 0.8
_QUERY_GAIN = 1.5
# Bias against a frame matching itself: it knows nothing that it lacks.
_SELF_BIAS = -12.0
_NEIGHBOUR_BIAS = 8.0


def _orthogonal(rows: int, columns: int) -> Tensor:
    matrix = torch.empty(rows, columns)
    nn.init.orthogonal_(matrix)
    return matrix


@torch.no_grad()
def _tie_head(model: VampNet, unigram: Tensor) -> None:
    """Embedding and head share one direction per codebook value; the bias is the unigram."""
    tables = model.tables
    n_codebooks, size, dim = tables.shape
    width = model.embedding.out_proj.out_channels
    mean = tables.mean(1, keepdim=True)
    scale = (tables - mean).square().mean((1, 2)).sqrt()[:, None, None]
    directions = _orthogonal(width, n_codebooks * dim).view(width, n_codebooks, dim)
    projection = directions / scale[:, 0, :, None].permute(1, 0, 2)
    model.embedding.out_proj.weight.copy_(projection.reshape(width, -1, 1))
    embedding_bias = model.embedding.out_proj.bias
    assert embedding_bias is not None
    embedding_bias.copy_(-torch.einsum("wnd,nd->w", projection, mean[:, 0]))
    model.embedding.special["MASK"].copy_(mean[:, 0])
    whitened = (tables - mean) / scale
    rows = torch.einsum("wnd,nkd->knw", directions, whitened)[:, model.n_conditioning :]
    model.head.weight_v.copy_(rows.reshape(size * model.n_predicted, width, 1))
    model.head.weight_g.fill_(_HEAD_GAIN)
    model.head.bias.copy_(unigram[model.n_conditioning : n_codebooks].log().T.flatten())


@torch.no_grad()
def _attend_to_matches(attention: SelfAttention, width: int) -> None:
    """Queries equal keys; the output undoes the value projection: a match is passed through."""
    attention.w_qs.weight.copy_(_QUERY_GAIN * _orthogonal(width, width))
    attention.w_ks.weight.copy_(attention.w_qs.weight)
    attention.w_vs.weight.copy_(_orthogonal(width, width))
    attention.fc.weight.copy_(_VALUE_GAIN * attention.w_vs.weight.T)
    # The two neighbour heads write to directions of their own: context, not a copy.
    head = width // attention.n_heads
    attention.fc.weight[:, : 2 * head] = _VALUE_GAIN * _orthogonal(width, 2 * head)
    attention.w_qs.weight[: 2 * head] *= 0.1


@torch.no_grad()
def tie(model: VampNet, unigram: Tensor) -> None:
    """Set every weight in place; `unigram` float `[n_codebooks, 1024]`."""
    _tie_head(model, unigram)
    width = model.embedding.out_proj.out_channels
    for layer in model.transformer.layers:
        _attend_to_matches(layer.self_attn, width)
        nn.init.normal_(layer.feed_forward.w_1.weight, std=width**-0.5)
        nn.init.normal_(layer.feed_forward.w_2.weight, std=0.1 * (2 * width) ** -0.5)
    bias = model.transformer.layers[0].self_attn.relative_attention_bias.weight
    bias.zero_()
    bias[0] = _SELF_BIAS
    # One head looks one frame back (bucket 1), one a frame ahead.
    bias[1, 0] = bias[BUCKETS // 2 + 1, 1] = _NEIGHBOUR_BIAS
