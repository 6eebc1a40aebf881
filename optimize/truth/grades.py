"""How much a variant may cost: two grades with names, bounds of one's own, and a verdict.

docs/method.md argues the numbers, and what the words do not claim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from optimize.truth.status import NO_BOUNDS, Bounds
from vampnet_models.errors import InputError
from vampnet_models.records.accuracy import ENOUGH_RECORDINGS, AccuracyReport, Figure
from vampnet_models.records.results import GradeName
from vampnet_models.spec import Role
from vampnet_models.text import percent, plural

Verdict = Literal["holds", "missed", "cannot-tell"]


@dataclass(frozen=True)
class Grade:
    """What a variant may cost at most; what is None bounds nothing.

    min_sampled: the lower end of a transformer's sampled agreement, 0 to 1.
    max_cost_nats: the upper end of a transformer's cost, nats per token.
    max_log_mel_db, max_log_mel_of_one_db: the upper end of the codec's pooled cost, and the
        estimate for every single recording.
    max_si_sdr_db: the SI-SDR that the codec may lose where FP32's own is high enough to count.
    """

    name: GradeName
    max_log_mel_db: float
    max_log_mel_of_one_db: float
    max_si_sdr_db: float | None = None
    min_sampled: float | None = None
    max_cost_nats: float | None = None


FAITHFUL = Grade("faithful", max_log_mel_db=0.05, max_log_mel_of_one_db=0.1, min_sampled=0.99)
HARMLESS = Grade(
    "harmless",
    max_log_mel_db=0.1,
    max_log_mel_of_one_db=0.2,
    max_si_sdr_db=0.2,
    max_cost_nats=0.01,
)
GRADES: dict[str, Grade] = {grade.name: grade for grade in (FAITHFUL, HARMLESS)}

KEEPS = 0.99
KEEPS_DB = 30.0
"""Of models of other kinds, which have no such costs: least agreement with FP32 in what chooses,
and least SQNR in what is a number."""

_SLACK = 1e-6
"""Of a unit in the last digit: what binary fractions are off by is not rounded up."""

_TRANSFORMERS = (Role.COARSE.value, Role.C2F.value)
_CODEC = (Role.CODEC_ENCODER.value, Role.CODEC_DECODER.value)


@dataclass(frozen=True)
class Criterion:
    """What variants are held to.

    grade: holds for a model that no bound of one's own is about; with `both`, for every model.
    bounds: of one's own; none by default.
    """

    grade: Grade = HARMLESS
    bounds: Bounds = NO_BOUNDS
    both: bool = False

    @property
    def name(self) -> str:
        """The grade's, or the bounds in words."""
        asked = self.bounds
        own = [
            text
            for value, text in (
                (asked.min_agreement, f"token agreement from {percent(asked.min_agreement)}"),
                (asked.min_sampled, f"sampled agreement from {percent(asked.min_sampled)}"),
                (asked.max_cost_nats, f"cost up to {asked.max_cost_nats or 0:g} nats per token"),
                (asked.max_cost_db, f"cost up to {asked.max_cost_db or 0:g} dB log-mel"),
            )
            if value is not None
        ]
        return ", ".join(([self.grade.name] if self.both or not own else []) + own)


def criterion_of(grade: str | None = None, bounds: Bounds = NO_BOUNDS) -> Criterion:
    """What a user asks for: bounds of one's own replace the default grade, `harmless`.

    Beside a grade that was named, both hold. Raises InputError for a grade that there is not, and
    for a bound that allows more than the grade beside it.
    """
    if grade is None:
        return Criterion(HARMLESS, bounds)
    if grade not in GRADES:
        raise InputError(f"grade {grade!r}: unknown; use {' or '.join(GRADES)}")
    named = GRADES[grade]
    for option, bound, own, laxer in (
        ("min-sampled", named.min_sampled, bounds.min_sampled, -1),
        ("max-cost", named.max_cost_nats, bounds.max_cost_nats, 1),
        ("max-cost-db", named.max_log_mel_db, bounds.max_cost_db, 1),
    ):
        if bound is not None and own is not None and laxer * (own - bound) > 0:
            raise InputError(
                f"{option} {own:g}: contradicts the grade {grade}, whose bound is {bound:g}; leave "
                "one of them out"
            )
    return Criterion(named, bounds, both=True)


def too_few(recordings: int, criterion: Criterion, *, all_judge: bool) -> str | None:
    """What will be said of every cost, before minutes are spent on it; None where costs can tell.

    `recordings` are those that judge; none where no model hears any. `all_judge` says that no more
    than those were given, for judging alone. Bounds on tokens alone need no number of them.
    """
    tokens_alone = replace(criterion.bounds, min_agreement=None) == NO_BOUNDS
    by_tokens = tokens_alone and criterion.bounds != NO_BOUNDS and not criterion.both
    if by_tokens or not 0 < recordings < ENOUGH_RECORDINGS:
        return None
    more = ENOUGH_RECORDINGS - recordings
    add = plural(more if all_judge else 2 * more, "recording")
    return (
        f"{plural(recordings, 'recording')} judge{'s' if recordings == 1 else ''}: on fewer than "
        f"{ENOUGH_RECORDINGS} nothing is shown to hold {criterion.name}, so FP16 or FP32 will be "
        f"there; add {add if all_judge else f'about {add}, as half of them judge'}"
    )


_MOST_USED = 1e6
"""Told of what is missed by any more, or was not measured: JSON has no infinity."""


@dataclass(frozen=True)
class Judgement:
    """Whether a variant holds what was asked, and the sentence that its figures give.

    used: by the tightest bound, what is lost as a multiple of what is allowed, whether or not one
        can tell; 0 by default, where nothing is bounded.
    """

    verdict: Verdict
    text: str
    used: float = 0.0


def judge(role: str, accuracy: AccuracyReport | None, criterion: Criterion) -> Judgement:
    """Hold a variant of a model of this role to the criterion, by its figures alone.

    Too few recordings or clips, and a figure that is missing, cannot tell: they never hold.
    """
    if accuracy is None:
        return Judgement("cannot-tell", "was not compared", _MOST_USED)
    found = list(_own(role, accuracy, criterion.bounds))
    if criterion.both or not found:
        found += _of_grade(role, accuracy, criterion.grade)
    used = max(each.used for each in found)
    for verdict in ("missed", "cannot-tell"):
        texts = [each.text for each in found if each.verdict == verdict]
        if texts:
            return Judgement(verdict, "; ".join(dict.fromkeys(texts)), used)
    return Judgement("holds", "; ".join(each.text for each in found), used)


def grades_held(role: str, accuracy: AccuracyReport) -> tuple[GradeName, ...]:
    """The grades that a model of this role is shown to hold, the stricter first."""
    return tuple(
        grade.name
        for grade in (FAITHFUL, HARMLESS)
        if judge(role, accuracy, Criterion(grade)).verdict == "holds"
    )


def _own(role: str, accuracy: AccuracyReport, asked: Bounds) -> Iterator[Judgement]:
    """By the bounds of one's own that are about such a model."""
    if asked.min_agreement is not None and accuracy.token_agreement is not None:
        yield _agreement(accuracy.token_agreement, asked.min_agreement)
    if role in _TRANSFORMERS:
        if asked.min_sampled is not None:
            yield _sampled(accuracy.sampled_agreement, asked.min_sampled)
        if asked.max_cost_nats is not None:
            yield _cost(accuracy.cost_nats, asked.max_cost_nats, "nats per token")
    if role in _CODEC and asked.max_cost_db is not None:
        yield _cost(accuracy.cost_log_mel_db, asked.max_cost_db, "dB log-mel")


def _of_grade(role: str, accuracy: AccuracyReport, grade: Grade) -> Iterator[Judgement]:
    if role in _TRANSFORMERS:
        if grade.min_sampled is not None:
            yield _sampled(accuracy.sampled_agreement, grade.min_sampled)
        if grade.max_cost_nats is not None:
            yield _cost(accuracy.cost_nats, grade.max_cost_nats, "nats per token")
    elif role in _CODEC:
        yield _cost(accuracy.cost_log_mel_db, grade.max_log_mel_db, "dB log-mel")
        yield from _worst(accuracy.cost_log_mel_db, grade.max_log_mel_of_one_db)
        if grade.max_si_sdr_db is not None:
            yield from _si_sdr(accuracy.cost_si_sdr_db, grade.max_si_sdr_db)
    else:
        yield _of_another_kind(accuracy)


def _agreement(agreement: float, least: float) -> Judgement:
    verdict: Verdict = "holds" if agreement >= least else "missed"
    text = f"{percent(agreement)} token agreement, {percent(least)} asked"
    return Judgement(verdict, text, _used(1 - agreement, 1 - least))


def _sampled(found: Figure | None, least: float) -> Judgement:
    if found is None or found.value is None or found.low is None:
        return _unmeasured("sampled agreement")
    used = _used(1 - found.low, 1 - least)
    if found.cannot_tell is not None:
        return Judgement("cannot-tell", found.cannot_tell, used)
    if found.low >= least:
        text = f"sampled agreement of at least {percent(found.low)} found on {_extent(found)}"
        return Judgement("holds", text, used)
    text = f"sampled agreement may be {percent(found.low)} (found: {percent(found.value)})"
    return Judgement("missed", f"{text}, {percent(least)} asked", used)


def _cost(found: Figure | None, most: float, unit: str) -> Judgement:
    if found is None or found.value is None or found.high is None:
        return _unmeasured("cost")
    used = _used(found.high, most)
    if found.cannot_tell is not None:
        return Judgement("cannot-tell", found.cannot_tell, used)
    if found.high <= most:
        text = f"no cost above {_at_most(found.high)} {unit} found on {_extent(found)}"
        return Judgement("holds", text, used)
    text = f"may cost {_at_most(found.high)} {unit} (found: {_figure(found.value)})"
    return Judgement("missed", f"{text}, {most:g} allowed", used)


def _worst(found: Figure | None, most: float) -> Iterator[Judgement]:
    """The estimate for a single recording, where one is over the bound."""
    if found is not None and found.can_tell:
        name, worst = max(found.per_recording.items(), key=lambda each: each[1])
        if worst > most:
            text = (
                f"costs {_at_most(worst)} dB log-mel on {name}, {most:g} allowed on one recording"
            )
            yield Judgement("missed", text, _used(worst, most))


def _si_sdr(found: Figure | None, most: float) -> Iterator[Judgement]:
    """The upper end, or the estimate where few recordings count; nothing where none does."""
    if found is None or found.value is None:
        return
    lost = found.high if found.can_tell and found.high is not None else found.value
    if lost > most:
        counted = plural(len(found.per_recording), "recording")
        text = f"may lose {_at_most(lost)} dB SI-SDR on the {counted} where it counts"
        yield Judgement("missed", f"{text}, {most:g} allowed", _used(lost, most))


def _of_another_kind(accuracy: AccuracyReport) -> Judgement:
    """By identity: what a cost would be is not known of such a model."""
    agreed = accuracy.token_agreement
    decibels = accuracy.snr_db if agreed is None else accuracy.numbers_db
    if agreed is None and decibels is None:
        return _unmeasured("agreement")
    said, kept, used = [], True, [0.0]
    if agreed is not None:
        # Of how many tells what it is worth: of 10 that agree, a tenth may be lost elsewhere.
        n = accuracy.n_positions
        of = f" of {plural(n, 'position')}" if n else ""
        said.append(f"{percent(agreed)} agreement{of}, {percent(KEEPS)} asked")
        used.append(_used(1 - agreed, 1 - KEEPS))
        kept = agreed >= KEEPS
    if decibels is not None:
        said.append(f"{decibels:.1f} dB SQNR, {KEEPS_DB:g} dB asked")
        used.append(_used(10 ** ((KEEPS_DB - decibels) / 10), 1))
        kept = kept and decibels >= KEEPS_DB
    return Judgement("holds" if kept else "missed", "; ".join(said), max(used))


def _unmeasured(what: str) -> Judgement:
    text = f"cannot tell: its {what} was not measured; run again"
    return Judgement("cannot-tell", text, _MOST_USED)


def _used(lost: float, most: float) -> float:
    """A loss as a multiple of what is allowed; a gain uses nothing."""
    if lost <= 0:
        return 0.0
    return min(lost / most, _MOST_USED) if most > 0 else _MOST_USED


def _extent(found: Figure) -> str:
    clips = plural(found.n_clips, "clip") if found.heard_s is None else f"{found.heard_s:.0f} s"
    return f"{clips} of {plural(len(found.per_recording), 'recording')}"


def _figure(value: float) -> str:
    """Two digits that count, and no exponent: 0.0031, 0.24, 1.3."""
    return f"{float(f'{value:.2g}'):.10f}".rstrip("0").rstrip(".")


def _at_most(value: float) -> str:
    """The same, never rounded down: what is said to be an upper end must be one."""
    if value <= 0:
        return "0"
    unit = 10 ** (math.floor(math.log10(value)) - 1)
    return _figure(math.ceil(value / unit - _SLACK) * unit)
