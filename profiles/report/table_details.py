"""A model's second table: the other accuracy figures, session times, the graph."""

from __future__ import annotations

from profiles.report.cells import Cell, measured, words
from profiles.report.marks import Mark
from profiles.report.run import Model, Variant
from profiles.report.tables import Row, Table
from profiles.report.units import (
    NBSP,
    agreement_text,
    count_text,
    db_text,
    digits,
    percent_text,
    seconds_text,
)

TOKEN_DETAILS = ("Near ties", "Agreement without them", "Logits KL", "Top-5 containment")
AUDIO_DETAILS = ("SI-SDR", "SNR", "Log-mel distance", "Clipped samples", "Not finite")
TIME_DETAILS = ("Session opens in", "First run", "Timed runs", "Threads")


def detail_table(model: Model, marks: dict[str, Mark]) -> Table:
    """The other accuracy figures, session times, fusions and precisions of each variant."""
    accuracy = AUDIO_DETAILS if model.is_decoder else TOKEN_DETAILS
    columns = (*accuracy, *TIME_DETAILS, "Fusions", "Weights by precision")
    made = [v for v in model.variants if v.usable]
    return Table(columns, tuple(_detail_row(model, v, marks) for v in made))


def _detail_row(model: Model, variant: Variant, marks: dict[str, Mark]) -> Row:
    a, cpu = variant.accuracy, variant.profiles.get("cpu")
    if model.is_decoder:
        figures: tuple[Cell, ...] = (
            measured(a.si_sdr_db, db_text),
            measured(a.snr_db, db_text),
            measured(a.log_mel_db, lambda v: f"{digits(v)}{NBSP}dB"),
            measured(a.clipped, count_text),
            measured(a.nonfinite, count_text),
        )
    else:
        epsilon = a.near_tie_epsilon
        ties = () if epsilon is None else (f"margin below {epsilon:g}",)
        figures = (
            measured(a.near_tie_share, percent_text, ties),
            measured(a.agreement_without_near_ties, agreement_text),
            measured(a.logits_kl, lambda v: f"{v:.2g}{NBSP}nat"),
            measured(a.top5_containment, agreement_text),
        )
    times = (
        measured(cpu.session_s if cpu else None, seconds_text),
        measured(cpu.first_run_s if cpu else None, seconds_text),
        measured(len(cpu.samples_s) or None if cpu else None, count_text),
        measured(cpu.threads if cpu else None, count_text),
    )
    counted = (
        words(", ".join(f"{k} {count_text(v)}" for k, v in variant.fusions.items()) or "none"),
        words(
            ", ".join(f"{k} {count_text(v)}" for k, v in variant.precision.items())
            or "not recorded"
        ),
    )
    return Row(
        variant.recipe, marks[variant.recipe].icon, variant.status, "", (*figures, *times, *counted)
    )
