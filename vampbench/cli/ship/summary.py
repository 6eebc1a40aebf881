"""The terminal's tables of a run: a row for each variant, and what is missing."""

from __future__ import annotations

from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.records.profiles import measured_on
from vampnet_models.records.results import Model, Results, Variant
from vampnet_models.text import end_of, megabytes, milliseconds, percent, signed

_JUDGED = ("model", "recipe", "size", "of FP32", "agreement", "sampled, at least", "cost, at most")
_SONG = "same song, at least"
_TIMED = ("CPU", "x FP32")
NOISY = "~"
"""Before a time, or what is made of times, that were taken while the machine was busy."""

NOISY_NOTE = (
    "~ noisy: the machine was busy while this was timed; once it is idle: give the same command "
    "with --time-again"
)

_REASON_CHARACTERS = 240
"""Of a reason in a table, which wraps it; all of it stands in the results."""


def columns_of(results: Results) -> tuple[str, ...]:
    """The columns of `summary_rows`: the song where it was played."""
    return (*_JUDGED, *((_SONG,) if results.song_prompts else ()), *_TIMED)


def summary_rows(results: Results) -> list[tuple[str, ...]]:
    """One row per variant that is there, for the terminal."""
    return [
        (model.name, recipe, *_cells(model, variant, with_song=bool(results.song_prompts)))
        for model in results.models
        for recipe, variant in variants_told(model)
        if variant.bytes is not None
    ]


def missing_rows(results: Results) -> list[tuple[str, ...]]:
    """What is not there, or not as it was asked for: model, recipe or step, status, reason."""
    rows: list[tuple[str, ...]] = []
    for model in results.models:
        for recipe, variant in variants_told(model):
            if variant.status != "ok":
                rows.append((model.name, recipe, variant.status, _short(variant.reason)))
        for step in model.failed_steps:
            rows.append((model.name, step.step, "failed", _short(step.reason)))
    return rows


def agreement_told(accuracy: AccuracyReport | None) -> str:
    """Token agreement with the source; for sound and numbers, what those are judged by."""
    found = accuracy or AccuracyReport()
    if found.token_agreement is None:
        if found.si_sdr_db is not None:
            return f"{found.si_sdr_db:.1f} dB SI-SDR"
        if found.snr_db is not None:
            return f"{found.snr_db:.1f} dB SQNR"
    numbers = "" if found.numbers_db is None else f", {found.numbers_db:.1f} dB SQNR"
    return f"{percent(found.token_agreement)}{numbers}"


def sampled_told(accuracy: AccuracyReport | None) -> str:
    """How often a transformer and its source draw the same token, at least, where that is known."""
    return _least(None if accuracy is None else accuracy.sampled_agreement)


def song_told(accuracy: AccuracyReport | None) -> str:
    """How much of its source's song a transformer plays, at least, where that is known."""
    return _least(None if accuracy is None else accuracy.same_song)


def _least(found: Figure | None) -> str:
    """The lower end of a share; whether it is not known or cannot tell."""
    if found is None or found.value is None:
        return "-"
    return percent(found.low) if found.can_tell else "cannot tell"


def cost_told(accuracy: AccuracyReport | None) -> str:
    """The upper end of the cost, which is what counts; whether it is not known or cannot tell."""
    if accuracy is None or accuracy.cost is None:
        return "-"
    found, unit = accuracy.cost
    return f"{signed(found.high)} {unit.split()[0]}" if found.can_tell else "cannot tell"


def variants_told(model: Model) -> list[tuple[str, Variant]]:
    """A model's variants by recipe; one for all of them where they failed for one reason."""
    variants = model.variants
    reasons = {v.reason for v in variants if v.status == "failed" and v.bytes is None}
    if len(variants) > 1 and len(reasons) == 1 and all(v.reason in reasons for v in variants):
        return [("all", variants[0])]
    return [(v.recipe, v) for v in variants]


def of_source(model: Model, variant: Variant) -> str:
    """A variant's size as a share of its source's."""
    return of_bytes(variant.bytes or 0, model.source_bytes or 0)


def of_bytes(size: int, before: int) -> str:
    """A size as a share of what it was made of; a dash where that is unknown."""
    return f"{size / before:.0%}" if before else "-"


def _cells(model: Model, variant: Variant, *, with_song: bool) -> tuple[str, ...]:
    cpu, size = measured_on(variant.profiles, "cpu"), variant.bytes or 0
    ratio = None if cpu is None else cpu.ratio_to_reference
    noisy = NOISY if cpu is not None and cpu.noisy else ""
    return (
        megabytes(size),
        of_source(model, variant),
        agreement_told(variant.accuracy),
        sampled_told(variant.accuracy),
        cost_told(variant.accuracy),
        *((song_told(variant.accuracy),) if with_song else ()),
        f"{noisy}{milliseconds(cpu.median_s)}" if cpu is not None else "-",
        f"{noisy}{ratio:.2f}" if ratio else "-",
    )


def _short(reason: str | None) -> str:
    """A reason for a table cell: cut only where a library tells a story, whose end says why."""
    return end_of(reason or "", _REASON_CHARACTERS)
