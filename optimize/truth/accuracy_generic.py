"""A model of which nothing is known but its outputs: each equal, of the same choice, or how far."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from optimize.truth import agreement
from optimize.truth.agreement import Comparison
from optimize.truth.audio_metrics import Power
from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.records.accuracy import AccuracyReport, OutputShare
from vampnet_models.spec import ModelSpec, Part

_FLAT_LOGITS = (Part.COARSE_TRANSFORMER, Part.C2F_TRANSFORMER)
"""The split form's logits `[batch, classes, frames * predicted]`."""

_PIECE = re.compile(r"(\[\d+\]|\.keys)+$")
"""What a session adds to the name of an output for each tensor of a sequence or map."""


def generic_report(
    spec: ModelSpec,
    feeds: Sequence[Feeds],
    own: Sequence[Feeds],
    floor: Sequence[Feeds],
    answers: Iterable[Feeds],
) -> AccuracyReport:
    """Compare a variant's answers with the reference's `own`, whose `floor` is FP32 against FP32.

    Every output is judged by itself. Integers, booleans and strings must be equal; floats choose by
    argmax over the last axis, and have an SQNR too. An output of the form of an input (a state, a
    filtered sound), and one without several values in a row, is a number: judged by its SQNR alone.
    In the split form (`spec.part`) only flat logits choose, over their classes. The report's own
    agreement and SQNR are those of the worst output. An answer that has another shape than the
    reference's, or is not there, agrees nowhere and is as far off as silence; it is named.
    """
    outputs = _outputs(spec, feeds, own)
    nonfinite = 0
    reshaped: Counter[str] = Counter()
    for index, (ours, theirs, base) in enumerate(zip(answers, own, floor, strict=True)):
        for name in dict.fromkeys((*theirs, *ours)):
            if not _same_shape(theirs.get(name), ours.get(name)):
                what = f"{name} {_shape(theirs.get(name))} became {_shape(ours.get(name))}"
                reshaped[what] += 1
        for name, values in theirs.items():
            mine = ours.get(name)
            if mine is not None and _is_float(values) and _same_shape(values, mine):
                nonfinite += newly_nonfinite(values, mine)
            outputs[_output_of(name, spec)].add(index, values, mine, base.get(name))
    shares = tuple(output.share for output in outputs.values() if output.n_values)
    choosing = [each for each in shares if each.agreement is not None]
    worst = min(choosing, key=lambda each: each.agreement or 0.0, default=None)
    levels = [each.snr_db for each in shares if each.snr_db is not None]
    notes = _notes(spec.part, list(outputs.values()))
    notes += [f"{what}, for {n} of {len(own)} feeds" for what, n in reshaped.items()]
    return AccuracyReport(
        token_agreement=None if worst is None else worst.agreement,
        floor=None if worst is None else worst.floor,
        interval=None if worst is None else worst.interval,
        n_positions=0 if worst is None else worst.n_positions,
        per_output=shares,
        snr_db=min(levels, default=None),
        nonfinite=nonfinite,
        notes=tuple(notes),
    )


@dataclass
class _Output:
    """What is gathered of one output over the samples.

    `like` is the input of whose form it is; then it is a number. `axis` is that of its classes.
    """

    name: str
    part: Part | None
    like: str | None
    n_values: int = 0
    equal: bool = False
    chosen: bool = False
    rows: list[Comparison] = field(default_factory=list)
    floor_rows: list[Comparison] = field(default_factory=list)
    powers: dict[int, Power] = field(default_factory=dict)
    floor_power: Power = field(default_factory=Power)

    def add(self, sample: int, values: Array, answer: Array | None, base: Array | None) -> None:
        """Lay an answer, and the floor's, beside the reference's."""
        self.n_values += values.size
        if _is_float(values):
            power = Power.of(values, answer if _same_shape(values, answer) else None)
            self.powers[sample] = self.powers.get(sample, Power()) + power
            floor = base if _same_shape(values, base) else None
            self.floor_power = self.floor_power + Power.of(values, floor)
        if self._is_choice(values):
            self.equal |= not _is_float(values)
            self.chosen |= _is_float(values)
            self.rows.append(_comparison(self.part, values, answer))
            self.floor_rows.append(_comparison(self.part, values, base))

    def _is_choice(self, values: Array) -> bool:
        """Whether it says something that is right or wrong: no number, but one of several."""
        if not values.size or not _is_float(values):
            return bool(values.size)
        if self.part is not None:
            return self.part in _FLAT_LOGITS
        return self.like is None and values.ndim > 1 and values.shape[-1] > 1

    @property
    def share(self) -> OutputShare:
        """How well it is kept."""
        whole = agreement.total(self.rows)
        total = sum(self.powers.values(), Power())
        # A sample of silence has no size that an error relates to: it counts in the total.
        heard = {i: p.snr_db for i, p in self.powers.items() if p.signal > 0}
        worst = min(heard, key=lambda i: heard[i], default=None)
        return OutputShare(
            name=self.name,
            agreement=whole.value,
            floor=agreement.total(self.floor_rows).value,
            interval=agreement.interval(self.rows),
            n_positions=whole.n_positions,
            snr_db=total.snr_db if total.n_values else None,
            floor_snr_db=self.floor_power.snr_db if total.n_values else None,
            worst_snr_db=None if worst is None else heard[worst],
            worst_sample=worst,
        )


def _outputs(spec: ModelSpec, feeds: Sequence[Feeds], own: Sequence[Feeds]) -> dict[str, _Output]:
    """The outputs in their order, each with the input of whose form it is on every feed."""
    alike: dict[str, set[str]] = {}
    for feed, answer in zip(feeds, own, strict=True):
        for name, values in answer.items():
            key = _output_of(name, spec)
            like = {i for i, given in feed.items() if _is_of_the_form(values, given)}
            alike[key] = alike[key] & like if key in alike else like
    return {name: _Output(name, spec.part, min(like, default=None)) for name, like in alike.items()}


def _is_of_the_form(values: Array, given: Array) -> bool:
    """Of an input's type and shape; a cache `[batch, heads, steps, size]` may have grown."""
    if not _is_float(values) or values.dtype != given.dtype or values.ndim != given.ndim:
        return False
    others = sum(a != b for a, b in zip(values.shape, given.shape, strict=True))
    grown = values.ndim > 2 and others == 1 and values.shape[-1] == given.shape[-1]
    return others == 0 or grown


def _output_of(name: str, spec: ModelSpec) -> str:
    """The output that a tensor is of, itself or as a piece of a sequence or map."""
    return name if any(o.name == name for o in spec.outputs) else _PIECE.sub("", name)


def _notes(part: Part | None, outputs: Sequence[_Output]) -> list[str]:
    """What was judged how."""
    outputs = [each for each in outputs if each.n_values]
    if not outputs:
        return ["its answers are empty: nothing to compare"]
    chosen = [each.name for each in outputs if each.chosen]
    equal = [each.name for each in outputs if each.equal]
    numbers = [
        each.name if each.like is None or part is not None else f"{each.name} (as {each.like})"
        for each in outputs
        if not each.chosen and not each.equal
    ]
    how = [
        f"{way}: {', '.join(names)}"
        for way, names in (
            ("judged by the choice (argmax over the classes)", chosen),
            ("judged by equality", equal),
            ("judged by its SQNR" if len(numbers) == 1 else "judged by their SQNR", numbers),
        )
        if names
    ]
    return ["; ".join(how) if part is None else f"{part.value}: {'; '.join(how)}"]


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


def _choice(values: Array, axis: int) -> Array:
    return np.asarray(values.argmax(axis=axis)) if _is_float(values) else values


def _shape(values: Array | None) -> str:
    return "nothing" if values is None else str(list(values.shape))
