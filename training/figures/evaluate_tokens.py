"""How well a transformer predicts masked tokens, against the unigram and against chance."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.config import HOP_SAMPLES
from training.data.audio import Audio
from training.figures.masking import random_mask
from training.figures.records import TokenFigures
from training.networks.transformer import VampNet, masked
from vampnet_models.chain.tokens import Codes

_WINDOW_FRAMES = 173
# Places in the sampling schedule, spread evenly: the mask ratios are cos(pi r / 2).
_PLACES = (0.0625, 0.1875, 0.3125, 0.4375, 0.5625, 0.6875, 0.8125, 0.9375)
_SEED = 11
# As the workbench counts them (`optimize.truth`).
_NEAR_TIE_NATS = 0.1
# Silence has one code that any model predicts: it would only flatter the gain.
_AUDIBLE_RMS = 10.0 ** (-60.0 / 20.0)


def audible(audio: Audio) -> NDArray[np.bool_]:
    """Which token frames of `[samples]` are above -60 dBFS rms: `[ceil(samples / hop)]`."""
    padded = np.pad(audio, (0, -len(audio) % HOP_SAMPLES)).reshape(-1, HOP_SAMPLES)
    loud: NDArray[np.bool_] = np.sqrt(np.mean(padded.astype(np.float64) ** 2, 1)) > _AUDIBLE_RMS
    return loud


def own_entropy_nats(tracks: list[tuple[Codes, NDArray[np.bool_]]], first: int, last: int) -> float:
    """Entropy of the tracks' own tokens in the heard frames, mean over codebooks first to last.

    The plug-in estimate: of few tokens it is too small, and a gain over it too modest."""
    heard = np.concatenate([codes[:, loud] for codes, loud in tracks], axis=1)
    entropies = []
    for row in heard[first:last]:
        share = np.unique(row, return_counts=True)[1] / len(row)
        entropies.append(-(share * np.log(share)).sum())
    return float(np.mean(entropies))


@torch.no_grad()
def token_figures(
    model: VampNet,
    tracks: list[tuple[Codes, NDArray[np.bool_]]],
    unigram: NDArray[np.float64],
) -> TokenFigures:
    """Tracks are codes `[n, frames]` with the audible frames `[frames]`; only those are counted.

    Windows have 173 frames (the last of a track may be shorter), at eight mask ratios.
    """
    n_codebooks = len(model.tables)
    log_unigram = torch.from_numpy(np.log(unigram[model.n_conditioning : n_codebooks])).float()
    generator = torch.Generator().manual_seed(_SEED)
    sums = {place: np.zeros(6) for place in _PLACES}
    for track, heard in tracks:
        for start in range(0, track.shape[1], _WINDOW_FRAMES):
            codes = torch.from_numpy(track[None, :n_codebooks, start : start + _WINDOW_FRAMES])
            counted = torch.from_numpy(heard[start : start + _WINDOW_FRAMES])
            for place in _PLACES:
                mask = random_mask(codes, torch.tensor([place]), model.n_conditioning, generator)
                chosen = model.flat(mask * counted[None, None]).bool()
                target = model.flat(codes)[chosen]
                logits = model(masked(codes, mask)).transpose(1, 2)[chosen]
                columns = torch.arange(chosen.shape[1])[None][chosen] % model.n_predicted
                rows = log_unigram[columns]
                best = logits.topk(2, 1).values
                sums[place] += [
                    float(functional.cross_entropy(logits, target, reduction="sum")),
                    float(functional.nll_loss(rows, target, reduction="sum")),
                    float((logits.argmax(1) == target).sum()),
                    float((rows.argmax(1) == target).sum()),
                    float((best[:, 0] - best[:, 1] < _NEAR_TIE_NATS).sum()),
                    len(target),
                ]
    means = np.mean([total[:5] / total[5] for total in sums.values()], axis=0)
    own = own_entropy_nats(tracks, model.n_conditioning, n_codebooks)
    return {
        "cross_entropy_nats": float(means[0]),
        "unigram_nats": float(means[1]),
        "own_entropy_nats": own,
        "chance_nats": math.log(model.vocab_size),
        "gain_nats": float(means[1] - means[0]),
        "own_gain_nats": own - float(means[0]),
        "near_ties": float(means[4]),
        "accuracy": float(means[2]),
        "unigram_accuracy": float(means[3]),
        "positions": int(sum(total[5] for total in sums.values())),
    }
