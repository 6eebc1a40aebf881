"""Same song: the share of final tokens that are FP32's, from the same prompts and seeds.

Each model samples alone, so that an early difference changes what it sees later, as in use. Random
numbers belong to their places (vampnet_models/chain/noise.py): where two models give a token the
same probabilities, they draw the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimize.truth.bootstrap import Part, figure_of
from optimize.truth.free_running import floor_session
from optimize.truth.song.prompts import Prompt, Prompts
from optimize.truth.swap import PERIOD_FRAMES
from vampnet_models.chain.pipeline import generate_coarse, generate_fine, joined
from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    COARSE_SAMPLING,
    Codes,
    full_mask,
    periodic_mask,
)
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.progress import Progress
from vampnet_models.records.accuracy import Figure
from vampnet_models.repair.baked import accepted_lengths
from vampnet_models.repair.layouts import inputs_of, logits_name
from vampnet_models.spec import ModelSpec, Role, conditioning_of

WAY_OF_PLAYING = "1"
"""Part of the key of what is kept: what was played in another way is played anew."""


@dataclass(frozen=True)
class _Start:
    """What sampling starts from, of a prompt: int64 `[1, n, frames]` each, 1 is generated."""

    prompt: Prompt
    codes: Codes
    mask: Codes


@dataclass(frozen=True)
class SongTruth:
    """What FP32 plays from each prompt, int64 `[1, n, frames]`, and what the floor kept of it."""

    spec: ModelSpec
    starts: tuple[_Start, ...]
    songs: tuple[Codes, ...]
    floor: tuple[Part, ...]


def unplayable(reference: Artifact) -> str | None:
    """Why a transformer cannot play from prompts; None where it can."""
    if logits_name(reference.spec) is None:
        return "no same song: the model gives tokens without logits"
    session = open_session(reference.path)
    accepted = accepted_lengths(reference.path, reference.spec, session)
    return f"no same song: the model {accepted.describe()}" if accepted.restricted else None


def song_truth(
    reference: Artifact, prompts: Prompts, progress: Progress | None = None
) -> SongTruth:
    """Let a transformer play twice: as usual, and with one thread and no graph optimization.

    It must not be `unplayable`. Raises InputError where it does not run, or takes more codebooks
    than the prompts have.
    """
    starts = tuple(_start(reference.spec, each) for each in prompts.prompts)
    silent = SongTruth(reference.spec, starts, (), ())
    n = len(starts)
    songs = _played(
        open_session(reference.path),
        silent,
        None if progress is None else (lambda i, _: progress(i, 2 * n)),
    )
    known = replace(silent, songs=songs)
    again = _played(
        floor_session(reference),
        silent,
        None if progress is None else (lambda i, _: progress(n + i, 2 * n)),
    )
    return replace(known, floor=tuple(_parts(known, again)))


def same_song(truth: SongTruth, variant: Artifact, progress: Progress | None = None) -> Figure:
    """The share of generated tokens that the variant ends with as FP32 does.

    Of coarse every seventh frame is given, of c2f all coarse codebooks. The interval is by
    recordings, then by pieces of them. Raises InputError where the variant does not run.
    """
    return figure_of(
        list(_parts(truth, _played(open_session(variant.path), truth, progress))), truth.floor
    )


def _start(spec: ModelSpec, prompt: Prompt) -> _Start:
    n = inputs_of(spec).codes.shape[1]
    if not isinstance(n, int) or n > prompt.codes.shape[1]:
        raise InputError(
            f"no same song: the model takes {n} codebooks, the encoder gives "
            f"{prompt.codes.shape[1]}; put the encoder that belongs to it beside it"
        )
    codes = prompt.codes[:, :n]
    if spec.role is Role.COARSE:
        # Where a window begins and ends, frames are kept anyway.
        return _Start(prompt, codes, joined(periodic_mask(codes.shape, PERIOD_FRAMES)))
    mask = full_mask(codes.shape)
    mask[:, : conditioning_of(spec)] = 0
    return _Start(prompt, codes, mask)


def _played(session: Session, truth: SongTruth, progress: Progress | None) -> tuple[Codes, ...]:
    coarse = truth.spec.role is Role.COARSE
    generate, sampling = (
        (generate_coarse, COARSE_SAMPLING) if coarse else (generate_fine, C2F_SAMPLING)
    )
    found = []
    for done, start in enumerate(truth.starts):
        seeded = replace(sampling, seed=start.prompt.seed)
        # A broken variant's logits may hold infinity: what is drawn of them is not FP32's.
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            found.append(generate(session, start.codes, start.mask, seeded))
        if progress is not None:
            progress(done + 1, len(truth.starts))
    return tuple(found)


def _parts(truth: SongTruth, found: Sequence[Codes]) -> list[Part]:
    """What is the same in each song, by codebook."""
    parts = []
    for start, own, theirs in zip(truth.starts, truth.songs, found, strict=True):
        place = start.prompt.place
        same, counted = own[0] == theirs[0], start.mask[0] == 1
        for book, (row, where) in enumerate(zip(same, counted, strict=True)):
            total, n = int(row[where].sum()), int(where.sum())
            parts.append(Part(place.recording, place.piece, total, n, codebook=book))
    return parts
