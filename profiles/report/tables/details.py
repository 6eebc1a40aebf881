"""A model's second table: the other accuracy figures, session times, the graph."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, measured, words
from profiles.report.tables.costs import cost_cell
from profiles.report.tables.table import Row, Table
from profiles.report.views.units import (
    NBSP,
    agreement_range,
    agreement_text,
    count_text,
    db_text,
    digits,
    percent_text,
    seconds_text,
)
from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.records.profiles import measured_on
from vampnet_models.records.results import Model, Variant

_TOKEN_DETAILS = (
    "Sampled agreement",
    "Cost",
    "Near ties",
    "Agreement without them",
    "Logits KL",
    "Top-5 containment",
)
_SONG_DETAILS = ("Same song", "Same longer song")
_BEAT_DETAILS = (
    "SQNR",
    *(f"{kind}: {share}" for kind in ("Beats", "Downbeats") for share in ("recall", "precision")),
    "Not finite",
)
_AUDIO_DETAILS = ("Cost", "SI-SDR", "SNR", "Log-mel distance", "Clipped samples", "Not finite")
_TIME_DETAILS = ("Session opens in", "First run", "Timed runs", "Threads")


def detail_table(model: Model, marks: dict[str, Mark]) -> Table:
    """The other accuracy figures, session times, fusions and precisions of each variant."""
    made = [v for v in model.variants if v.usable]
    accuracy = _TOKEN_DETAILS + (_SONG_DETAILS if _plays(model) else ())
    if model.is_decoder:
        accuracy = _AUDIO_DETAILS
    elif model.is_beats:
        accuracy = _BEAT_DETAILS
    columns = (*accuracy, *_TIME_DETAILS, "Fusions", "Weights by precision")
    return Table(columns, tuple(_detail_row(model, v, marks) for v in made))


def _beat_figures(accuracy: AccuracyReport) -> tuple[Cell, ...]:
    kinds = {k.kind: k for k in accuracy.per_beat_kind}
    cells = [measured(accuracy.snr_db, db_text)]
    for kind in (kinds.get("beat"), kinds.get("downbeat")):
        if kind is None:
            cells += [measured(None, agreement_text)] * 2
            continue
        for share, n in ((kind.recall, kind.n_reference), (kind.precision, kind.n_variant)):
            cells.append(measured(share, agreement_text, (f"of {count_text(n or 0)}",)))
    return (*cells, measured(accuracy.nonfinite, count_text))


def _detail_row(model: Model, variant: Variant, marks: dict[str, Mark]) -> Row:
    a, cpu = variant.judged, measured_on(variant.profiles, "cpu")
    if model.is_decoder:
        figures: tuple[Cell, ...] = (
            cost_cell(a),
            measured(a.si_sdr_db, db_text),
            measured(a.snr_db, db_text),
            measured(a.log_mel_db, lambda v: f"{digits(v)}{NBSP}dB"),
            measured(a.clipped, count_text),
            measured(a.nonfinite, count_text),
        )
    elif model.is_beats:
        figures = _beat_figures(a)
    else:
        near = a.near_ties
        ties = () if near is None else (f"margin below {near.epsilon:g}",)
        figures = (
            _share(a.sampled_agreement),
            cost_cell(a),
            measured(None if near is None else near.share, percent_text, ties),
            measured(None if near is None else near.agreement_excluding, agreement_text),
            measured(a.logits_kl, lambda v: f"{v:.2g}{NBSP}nat"),
            measured(a.top5_containment, agreement_text),
        )
        if _plays(model):
            figures += (_share(a.same_song), _share(a.same_song_long))
    times = (
        measured(cpu.session_s if cpu else None, seconds_text),
        measured(cpu.first_run_s if cpu else None, seconds_text),
        measured(len(cpu.samples_s) or None if cpu else None, count_text),
        measured(cpu.threads if cpu else None, count_text),
    )
    made = variant.record
    counted = (
        words(_counts({} if made is None else made.fusions) or "none"),
        words(_counts({} if made is None else made.precision) or "not recorded"),
    )
    return Row(
        variant.recipe, marks[variant.recipe].icon, variant.status, "", (*figures, *times, *counted)
    )


def _plays(model: Model) -> bool:
    """Whether any variant of it was heard beside FP32."""
    return any(v.judged.same_song is not None for v in model.variants)


def _share(found: Figure | None) -> Cell:
    """With interval, positions, floor, the worst recording, and whether that tells enough."""
    if found is None or found.value is None or found.low is None or found.high is None:
        return measured(None, agreement_text)
    worst, least = min(found.per_recording.items(), key=lambda each: each[1])
    lines = [agreement_range(found.low, found.high), f"of {count_text(found.n)}"]
    if found.floor is not None:
        lines.append(f"floor {agreement_text(found.floor)}")
    lines.append(f"worst: {worst}, {agreement_text(least)}")
    if found.cannot_tell is not None:
        lines.append(found.cannot_tell)
    return measured(found.value, agreement_text, tuple(lines))


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count_text(n)}" for name, n in found.items() if n)
