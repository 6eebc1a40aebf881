"""A model of which nothing is known but its outputs: equal, of the same choice, how far apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from optimize.truth.agreement import Comparison, shares_of
from optimize.truth.audio_metrics import snr_db
from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.spec import Part

_FLAT_LOGITS = (Part.COARSE_TRANSFORMER, Part.C2F_TRANSFORMER)
"""The split form's logits `[batch, classes, frames * predicted]`."""


def generic_report(
    part: Part | None, own: Sequence[Feeds], floor: Sequence[Feeds], answers: Iterable[Feeds]
) -> AccuracyReport:
    """Compare a variant's answers with the reference's `own`, whose `floor` is FP32 against FP32.

    Integers and strings must be equal, floats choose by argmax over the classes; plus SQNR. The
    classes are the last axis; in the split form (`part`), those of flat logits, and nothing else is
    a choice: latents and audio are judged by SQNR alone. An answer that has another shape than the
    reference's, or is not there, agrees nowhere, and is named.
    """
    rows: list[Comparison] = []
    floor_rows: list[Comparison] = []
    noises: list[float] = []
    nonfinite = n_values = 0
    reshaped: Counter[str] = Counter()
    for ours, theirs, base in zip(answers, own, floor, strict=True):
        for name in dict.fromkeys((*theirs, *ours)):
            if not _same_shape(theirs.get(name), ours.get(name)):
                what = f"{name} {_shape(theirs.get(name))} became {_shape(ours.get(name))}"
                reshaped[what] += 1
        for name, values in theirs.items():
            n_values += values.size
            mine = ours.get(name)
            if mine is not None and _is_float(values) and _same_shape(values, mine):
                nonfinite += newly_nonfinite(values, mine)
                where = np.isfinite(values)
                if where.any():
                    noises.append(snr_db(values[where], np.nan_to_num(mine[where])))
            if _is_choice(part, values):
                rows.append(_comparison(part, values, mine))
                floor_rows.append(_comparison(part, values, base.get(name)))
    shares: dict[str, Any] = shares_of(rows, floor_rows) if rows else {}
    shares["per_codebook"] = ()
    note = "agreement by argmax over the classes, or equality of integers"
    if part is not None:
        note = f"{part.value}: {note if rows else 'judged by its SQNR'}"
    notes = [note if n_values else "its answers are empty: nothing to compare"]
    notes += [f"{what}, for {n} of {len(own)} feeds" for what, n in reshaped.items()]
    return AccuracyReport(
        **shares,
        snr_db=float(np.mean(noises)) if noises else None,
        nonfinite=nonfinite,
        notes=tuple(notes),
    )


def _comparison(part: Part | None, values: Array, answer: Array | None) -> Comparison:
    """Where an answer makes the reference's choices; nowhere, if it cannot be laid beside it."""
    axis = 1 if part in _FLAT_LOGITS else -1
    choice = _choice(values, axis)
    same = np.zeros(choice.shape, bool)
    if answer is not None and _same_shape(values, answer):
        same = np.asarray(_choice(answer, axis) == choice)
    return Comparison(same.reshape(1, -1), np.ones((1, choice.size), bool))


def _same_shape(theirs: Array | None, ours: Array | None) -> bool:
    return theirs is not None and ours is not None and theirs.shape == ours.shape


def _is_float(values: Array) -> bool:
    return np.issubdtype(values.dtype, np.floating)


def newly_nonfinite(reference: Array, variant: Array) -> int:
    """Values that are NaN or infinite in the variant and are not so in its reference."""
    with np.errstate(invalid="ignore"):
        same = (reference == variant) | (np.isnan(reference) & np.isnan(variant))
    return int((~np.isfinite(variant) & ~same).sum())


def _is_choice(part: Part | None, values: Array) -> bool:
    """Whether an output says something that is right or wrong: no number, but one of several."""
    if not values.size or not _is_float(values):
        return bool(values.size)
    if part is not None:
        return part in _FLAT_LOGITS
    return values.ndim > 1 and values.shape[-1] > 1


def _choice(values: Array, axis: int) -> Array:
    return np.asarray(values.argmax(axis=axis)) if _is_float(values) else values


def _shape(values: Array | None) -> str:
    return "nothing" if values is None else str(list(values.shape))
