"""Masked-token training of coarse and c2f.

The head starts at the unigram distribution and reads a code from the same directions that the
embedding writes it to (weight tying, Press & Wolf 2017, through the codec's tables); attention
starts as content matching with values passed through, so that copying a repeat is close at hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import SEED, Stage
from training.data.tokens import TokenSet
from training.figures.evaluate_tokens import token_figures
from training.figures.masking import random_mask
from training.networks.transformer import BUCKETS, SelfAttention, VampNet, masked
from training.stages.loop import run_stage
from vampnet_models.chain.tokens import Codes

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
def _tie(model: VampNet, unigram: Tensor) -> None:
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


_LABEL_SMOOTHING = 0.1
_BETAS = (0.9, 0.95)
_WEIGHT_DECAY = 0.01
_LENGTHS = (0.5, 1.0, 1.0, 2.0, 3.34)
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
    model: VampNet, data: TokenSet, validation: list[Codes], stage: Stage, folder: Path
) -> list[dict[str, float]]:
    """Train with dropout and label smoothing as the original; resumable.

    `validation` are code tracks `[n_codebooks, frames]` of the validation side."""
    n_codebooks = len(model.tables)
    torch.manual_seed(SEED)
    unigram = data.unigram(n_codebooks)
    _tie(model, torch.from_numpy(unigram).float())
    judged = [(track, np.ones(track.shape[1], bool)) for track in validation]

    def validate(average: nn.Module) -> dict[str, float]:
        assert isinstance(average, VampNet)
        average.eval()
        figures = token_figures(average, judged, unigram)
        nats = figures["cross_entropy_nats"]
        return {"nats": nats, "own_gain_nats": figures["own_gain_nats"], "score": -nats}

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
        # Windows of all lengths, the same number of frames in every batch.
        length = float(rng.choice(_LENGTHS))
        size = max(1, round(stage.batch / length))
        codes = data.windows(rng, size, round(stage.frames * length))[:, :n_codebooks]
        r = torch.from_numpy(rng.random(size)).float()
        mask = random_mask(codes, r, model.n_conditioning, generator)
        loss, hits = _masked_cross_entropy(model, codes, mask, _LABEL_SMOOTHING)
        return loss, {"accuracy": hits.item()}

    log = run_stage(stage, model, optimizer, step_loss, validate, folder)
    model.eval()
    return log
