"""The chain in PyTorch, sampled as the original does: the same windows, steps and schedule.

At each step the original draws a token for every position, also where one is kept (Flores Garcia et
al. 2023, "VampNet"). Its typical filtering has no effect and is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.music.networks import Networks
from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    COARSE_SAMPLING,
    SamplingOptions,
    remask_count,
)
from vampnet_models.family import VAMPNET

_Call = Callable[[Tensor], Tensor]


class Stage:
    """A model that counts the seconds in it."""

    spent_s = 0.0

    def __init__(self, call: _Call) -> None:
        self._call = call

    def __call__(self, x: Tensor) -> Tensor:
        """As the model's."""
        start_s = time.perf_counter()
        found = self._call(x)
        self.spent_s += time.perf_counter() - start_s
        return found


@dataclass(frozen=True)
class TorchChain:
    """The models in turn.

    encoder: float32 `[1, 1, samples]` -> int64 `[1, n, frames]`; decoder: back.
    coarse, c2f: codes with MASK -> logits float32 `[1, vocab, frames * predicted]`.
    """

    encoder: Stage
    coarse: Stage
    c2f: Stage
    decoder: Stage

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All four, in this order."""
        return self.encoder, self.coarse, self.c2f, self.decoder


def chain_of(networks: Networks, *, compiled: bool) -> TorchChain:
    """The networks, run eagerly or each compiled for the shapes that it meets."""
    codec = networks.codec
    calls: tuple[_Call, ...] = (codec.encode, networks.coarse, networks.c2f, codec.decode)
    if compiled:
        calls = tuple(torch.compile(call, dynamic=False) for call in calls)
    return TorchChain(*map(Stage, calls))


@torch.inference_mode()
def vary(
    chain: TorchChain, samples: Tensor, make_mask: Callable[[tuple[int, ...]], Tensor]
) -> tuple[Tensor, Tensor]:
    """Audio float32 `[n]` of the same length, generated where the mask says, and its codes.

    `make_mask` gives the mask int64 for a shape `[1, n, frames]`, 1 where a code is generated.
    """
    torch.manual_seed(COARSE_SAMPLING.seed)
    codes = chain.encoder(samples[None, None])
    mask, n_coarse = make_mask(tuple(codes.shape)), VAMPNET.n_coarse_codebooks
    coarse = _generate_coarse(chain.coarse, codes[:, :n_coarse], mask[:, :n_coarse])
    whole = torch.cat([coarse, codes[:, n_coarse:]], 1)
    # A frame whose coarse codes were generated anew has no fine codes to keep.
    fine_mask = torch.maximum(mask, mask[:, :n_coarse].amax(1, keepdim=True))
    complete = _generate_fine(chain.c2f, whole, fine_mask)
    audio = chain.decoder(complete)[0, 0, : len(samples)]
    return functional.pad(audio, (0, len(samples) - len(audio))), complete


def _generate_coarse(coarse: _Call, codes: Tensor, mask: Tensor) -> Tensor:
    """Window by window; where a window keeps anything, it keeps its first and last frame."""
    parts = []
    size = VAMPNET.coarse_window_frames
    for part, own in zip(_windows(codes, size), _windows(mask, size), strict=True):
        if not own.all():
            own = own.clone()
            own[:, :, [0, -1]] = 0
        parts.append(generate(coarse, part, own, codes.shape[1], COARSE_SAMPLING))
    return torch.cat(parts, 2)


def _generate_fine(c2f: _Call, codes: Tensor, mask: Tensor) -> Tensor:
    """In whole windows, padded with code 0 and mask 1, and cut back."""
    frames, size = codes.shape[2], VAMPNET.c2f_window_frames
    pad = (0, -frames % size)
    windows = _windows(functional.pad(codes, pad), size)
    masks = _windows(functional.pad(mask, pad, value=1), size)
    predicted = codes.shape[1] - VAMPNET.n_coarse_codebooks
    parts = [
        generate(c2f, part, own, predicted, C2F_SAMPLING)
        for part, own in zip(windows, masks, strict=True)
    ]
    return torch.cat(parts, 2)[:, :, :frames]


def _windows(x: Tensor, frames: int) -> list[Tensor]:
    """Parts of `[1, n, frames]`, the last one maybe shorter."""
    return [x[:, :, start : start + frames] for start in range(0, x.shape[2], frames)]


def generate(
    forward: _Call, codes: Tensor, mask: Tensor, predicted: int, options: SamplingOptions
) -> Tensor:
    """The complete codes int64 `[1, n, frames]` of a window.

    The last `predicted` codebooks are generated where `mask` is 1, by torch's own random numbers.
    """
    given, frames = codes.shape[1] - predicted, codes.shape[2]
    # One ranking over all codebooks, frame by frame.
    known, hidden = (x[:, given:].transpose(1, 2).flatten(1) for x in (codes, mask.bool()))
    at_start = int(hidden.sum())
    if at_start == 0:
        return codes

    def whole(flat: Tensor) -> Tensor:
        return torch.cat([codes[:, :given], flat.view(1, frames, -1).transpose(1, 2)], 1)

    for step in range(options.steps):
        logits = forward(whole(torch.where(hidden, VAMPNET.mask_token, known))).transpose(1, 2)
        p = torch.softmax(logits / options.temperature, -1)
        drawn = torch.multinomial(p[0], 1)[None]
        chance = torch.where(hidden, p.gather(-1, drawn)[..., 0], torch.inf)
        known = torch.where(hidden, drawn[..., 0], known)
        noise = -torch.empty_like(chance).exponential_().log()
        share_left = 1 - (step + 1) / options.steps
        confidence = chance.log() + options.mask_temperature * share_left * noise
        again = remask_count(step, options.steps, at_start, int(hidden.sum()))
        hidden = confidence < confidence.sort(-1).values[:, again, None]
    return whole(known)
