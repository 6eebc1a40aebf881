"""What a transformer loses on the recordings' own codes: nats per token.

At masked positions the model gives every code a probability. The cost is the difference of the
negative logarithms of what the variant and its reference give to the code that stands there
(paired: both guess the same positions of the same pieces). A negative cost is a gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.feeds.evidence import MaskedCodes
from optimize.truth.agreement import stratum_of
from optimize.truth.bootstrap import Part, figure_of
from vampnet_models.chain.side_by_side import each_of, open_as_floor, open_side_by_side
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session
from vampnet_models.progress import Progress
from vampnet_models.records.accuracy import Figure
from vampnet_models.repair.layouts import transformer_answer, transformer_feed
from vampnet_models.spec import ModelSpec

Nats = NDArray[np.float64]

_MOST_NATS = 100.0
"""Counted where a code has no probability at all, or the logits are no numbers."""


@dataclass(frozen=True)
class TokenTruth:
    """The masked codes, and what they surprise FP32 and the floor by.

    `reference` and `floor` are float64 `[predicted, frames]` nats for each of `masked`.
    """

    spec: ModelSpec
    masked: tuple[MaskedCodes, ...]
    reference: tuple[Nats, ...]
    floor: tuple[Nats, ...]

    def every(self, step: int) -> TokenTruth:
        """The truth about each `step`th state alone."""
        kept = slice(None, None, step)
        return replace(
            self,
            masked=self.masked[kept],
            reference=self.reference[kept],
            floor=self.floor[kept],
        )


def token_truth(
    reference: Artifact,
    masked: Sequence[MaskedCodes],
    progress: Progress | None = None,
) -> TokenTruth:
    """Let the reference guess twice: as usual, and with its sums in another order.

    Raises InputError where the model cannot be run, or gives no logits.
    """
    spec, n = reference.spec, len(masked)
    session = open_side_by_side(reference.path, reference)
    own = tuple(surprises(session, spec, masked, _shifted(progress, 0, 2 * n)))
    session = open_as_floor(reference.path, reference)
    floor = tuple(surprises(session, spec, masked, _shifted(progress, n, 2 * n)))
    return TokenTruth(spec, tuple(masked), own, floor)


def cost_of_tokens(truth: TokenTruth, variant: Session, progress: Progress | None = None) -> Figure:
    """The variant's cost, with that of FP32 against FP32 as its floor.

    The mean over tenths of the mask ratio: along the cosine schedule about as many tokens become
    final in each. Raises InputError as `token_truth` does.
    """
    found = tuple(surprises(variant, truth.spec, truth.masked, progress))
    figure = figure_of(_parts(truth, found), _parts(truth, truth.floor), by_ratio=True)
    return replace(figure, heard_s=_heard_s(truth))


def _heard_s(truth: TokenTruth) -> float | None:
    """Seconds of the pieces, each once: a piece is masked in several ways."""
    family = truth.spec.family
    frames = {each.place: each.n_frames for each in truth.masked}
    return None if family is None else sum(frames.values()) * family.frame_s


def surprises(
    session: Session,
    spec: ModelSpec,
    masked: Sequence[MaskedCodes],
    progress: Progress | None = None,
) -> Iterator[Nats]:
    """How unlikely a model finds each code, float64 `[predicted, frames]` nats of each of `masked`.

    `spec` is that of its reference. Raises InputError where it cannot be run, or gives no logits.
    """

    def surprise(each: MaskedCodes) -> Nats:
        # What stands beneath the mask is hidden here: a model that looked would not be guessing.
        feed = transformer_feed(spec, np.where(each.mask == 1, 0, each.codes), each.mask)
        answer = transformer_answer(spec, feed, session.run(feed))
        if "logits" not in answer:
            raise InputError(f"{session.name}: gives tokens without logits")
        logits = answer["logits"][0, :, : each.n_frames]
        return _nats(logits, each.codes[0, -len(logits) :, : each.n_frames])

    for done, each in enumerate(each_of(session, surprise, masked), 1):
        yield each
        if progress is not None:
            progress(done, len(masked))


def _nats(logits: NDArray[Any], codes: NDArray[np.int64]) -> Nats:
    """Negative log-likelihood `[predicted, frames]` of codes by logits `[..., classes]`."""
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
        own = np.take_along_axis(shifted, codes[..., None], axis=-1)[..., 0]
        nats = np.log(np.exp(shifted).sum(axis=-1)) - own
    return np.asarray(np.minimum(np.nan_to_num(nats, nan=_MOST_NATS), _MOST_NATS))


def _parts(truth: TokenTruth, found: Sequence[Nats]) -> list[Part]:
    """The differences of each state, by codebook."""
    parts = []
    for each, own, theirs in zip(truth.masked, truth.reference, found, strict=True):
        counted = each.mask[0, -len(own) :, : each.n_frames] == 1
        stratum = stratum_of(float(counted.mean()))
        first = each.codes.shape[1] - len(own)
        for row, (where, difference) in enumerate(zip(counted, theirs - own, strict=True)):
            total, n = float(difference[where].sum()), int(where.sum())
            place = each.place
            parts.append(Part(place.recording, place.piece, total, n, stratum, first + row))
    return parts


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    return None if progress is None else (lambda i, _: progress(done + i, total))
