"""What a set plays: is it FP32's song, and if not, could it be FP32's of other seeds?

A set and FP32 play from the same recordings, with the same seeds and with others. Same seeds give
the share of tokens that are the same. Whether the pieces are worse is asked of what they are like:
how likely FP32 finds them (collapse to a few tokens makes them likelier, so both ways count), and
how far their spectra lie from FP32's (mmd.py). The measure for both is what other seeds change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.feeds.evidence import MaskedCodes, Place, masked_codes
from calibration.feeds.model_feeds import EVALUATION
from calibration.feeds.states import C2F_STEPS, COARSE_STEPS
from optimize.truth.agreement import stratum_of
from optimize.truth.bootstrap import Part, figure_of
from optimize.truth.cost.tokens import surprises
from optimize.truth.song.mmd import bandwidth, mmd, pair_terms
from optimize.truth.song.pieces import Pieces
from optimize.truth.song.prompts import Prompts
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.song import SetSong
from vampnet_models.repair.layouts import inputs_of
from vampnet_models.spec import Role, conditioning_of

_STAGES = ((Role.COARSE, max(COARSE_STEPS)), (Role.C2F, max(C2F_STEPS)))
"""The models that find pieces likely, and the steps whose mask ratios they do so at."""

_MASKS = 2
"""Masks of each piece."""


@dataclass(frozen=True)
class Played:
    """The pieces of one chain with the prompts' seeds, and with others."""

    same: Pieces
    other: Pieces


def set_song(
    references: Mapping[Role, Artifact],
    prompts: Prompts,
    fp32: Played,
    floor: Pieces,
    played: Played,
) -> SetSong:
    """Judge the pieces of a set by FP32's; `floor` are FP32's with its sums in another order.

    `references` are the FP32 models, of which the transformers say how likely pieces are. Raises
    InputError where one of them does not run on the pieces.
    """
    places = [each.place for each in prompts.prompts]
    nats, seed_nats = {}, {}
    for role, steps in _STAGES:
        first, other, own, own_other = (
            _surprise(references[role], places, each, steps)
            for each in (fp32.same, fp32.other, played.same, played.other)
        )
        seeds = _differences(first, other)
        found = _differences(first, own) + _differences(other, own_other)
        nats[role.value] = figure_of(found, seeds)
        seed_nats[role.value] = figure_of(seeds)
    sigma = bandwidth(np.concatenate([fp32.same.spectra, fp32.other.spectra]))
    x, y = fp32.same.spectra, fp32.other.spectra
    of_seeds = mmd(pair_terms(x, y, sigma), places)
    pairs = ((played.same.spectra, y), (played.other.spectra, x))
    terms = sum((pair_terms(*pair, sigma) / len(pairs) for pair in pairs), np.zeros(()))
    return SetSong(
        n_pieces=len(places),
        frames=prompts.frames,
        same_song=figure_of(_same(places, fp32.same, played.same), _same(places, fp32.same, floor)),
        nats=nats,
        seed_nats=seed_nats,
        log_mel_mmd=mmd(terms, places, of_seeds.value),
        seed_log_mel_mmd=of_seeds,
    )


def _same(places: Sequence[Place], own: Pieces, theirs: Pieces) -> list[Part]:
    """What is the same in each piece, by codebook."""
    return [
        Part(place.recording, place.piece, int(row.sum()), len(row), codebook=book)
        for place, same in zip(places, own.codes == theirs.codes, strict=True)
        for book, row in enumerate(same)
    ]


@dataclass(frozen=True)
class _Surprise:
    """The mean nats of a masked state's tokens, of one piece."""

    masked: MaskedCodes
    nats: NDArray[np.float64]
    counted: NDArray[np.bool_]


def _surprise(
    reference: Artifact, places: Sequence[Place], pieces: Pieces, steps: int
) -> list[_Surprise]:
    """How unlikely the reference finds each piece beneath masks, which are those of every chain."""
    n = inputs_of(reference.spec).codes.shape[1]
    windows = [(place, codes[None, :n]) for place, codes in zip(places, pieces.codes, strict=True)]
    masked = masked_codes(
        windows,
        _MASKS * len(windows),
        given=conditioning_of(reference.spec),
        ratios=[math.cos(math.pi / 2 * step / steps) for step in range(steps)],
        length=None,
        seed=EVALUATION.seed,
    )
    found = surprises(open_session(reference.path), reference.spec, masked)
    return [
        _Surprise(each, nats, each.mask[0, -len(nats) :, : each.n_frames] == 1)
        for each, nats in zip(masked, found, strict=True)
    ]


def _differences(own: Sequence[_Surprise], theirs: Sequence[_Surprise]) -> list[Part]:
    """How much more the second pieces surprise than the first, which lie at the same places."""
    return [
        Part(
            a.masked.place.recording,
            a.masked.place.piece,
            float((b.nats - a.nats)[a.counted].sum()),
            int(a.counted.sum()),
            stratum_of(float(a.counted.mean())),
        )
        for a, b in zip(own, theirs, strict=True)
    ]
