"""A model's table: size, accuracy and each target, a row per variant."""

from __future__ import annotations

from profiles.measure.stats import paired_ratio, verdict
from profiles.report.charts.marks import Mark
from profiles.report.tables.cells import Cell, absent, estimate, fact, measured, words
from profiles.report.tables.costs import cost_lines
from profiles.report.tables.table import Row, Table
from profiles.report.views.target_lines import estimate_of
from profiles.report.views.units import (
    NBSP,
    agreement_range,
    agreement_text,
    bytes_text,
    count_text,
    db_text,
    digits,
    percent_text,
    ratio_text,
    seconds_range,
    seconds_text,
)
from profiles.targets.contract import Profiler
from profiles.targets.order import profilers
from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.records.profiles import Estimate, Failure, Measurement, Profile, measured_on
from vampnet_models.records.results import Model, Variant
from vampnet_models.text import pace_text


def variant_table(model: Model, marks: dict[str, Mark]) -> Table:
    """A model's source and variants: size, accuracy, and each target."""
    accuracy = "Token agreement, interval"
    if model.is_decoder:
        accuracy = "SI-SDR, log-mel"
    elif model.is_beats:
        accuracy = "Beats within 20 ms, interval"
    cpu_columns = ("CPU median, p10–p90", "CPU time to FP32", "Peak memory")
    columns = (
        "Size",
        "Of source",
        accuracy,
        "Beats" if model.is_beats else "Positions",
        *cpu_columns,
        *(each.title for each in _elsewhere()),
    )
    cpu = measured_on(model.profiles, "cpu")
    source = Row(
        "FP32 source",
        None,
        "source",
        "",
        (
            fact(model.source_bytes, bytes_text),
            fact(1.0 if model.source_bytes else None, percent_text),
            words("the reference"),
            words("\u2013"),
            _median(model.profiles.get("cpu")),
            fact(1.0, ratio_text) if cpu is not None else absent(),
            measured(cpu.peak_rss_bytes if cpu else None, bytes_text),
            *(_target_cell(model.profiles.get(each.name)) for each in _elsewhere()),
        ),
    )
    return Table(columns, (source, *(_variant_row(model, v, marks) for v in model.variants)))


def _variant_row(model: Model, variant: Variant, marks: dict[str, Mark]) -> Row:
    if not variant.usable:
        reason = variant.reason or "no reason given"
        return Row(variant.recipe, marks[variant.recipe].icon, variant.status, reason, ())
    cpu = measured_on(variant.profiles, "cpu")
    share = variant.bytes / model.source_bytes if variant.bytes and model.source_bytes else None
    larger = ("larger than", "its source") if share is not None and share > 1 else ()
    return Row(
        variant.recipe,
        marks[variant.recipe].icon,
        variant.status,
        variant.reason or "",
        (
            fact(variant.bytes, bytes_text),
            fact(share, percent_text, larger),
            _accuracy_cell(model, variant.judged, _grade_lines(variant)),
            measured(variant.judged.n_positions, count_text),
            _median(variant.profiles.get("cpu")),
            _ratio_cell(cpu, measured_on(model.profiles, "cpu")),
            measured(cpu.peak_rss_bytes if cpu else None, bytes_text),
            *(_target_cell(variant.profiles.get(each.name)) for each in _elsewhere()),
        ),
    )


def _elsewhere() -> tuple[Profiler, ...]:
    """Those whose figures are not of the CPU, which has columns of its own."""
    return tuple(each for each in profilers() if each.name != "cpu")


def _grade_lines(variant: Variant) -> tuple[str, ...]:
    """The grade that it is shown to hold."""
    if variant.grades is None:
        return ()
    return (variant.grades[0] if variant.grades else "not shown to be harmless",)


def _accuracy_cell(model: Model, accuracy: AccuracyReport, grade: tuple[str, ...]) -> Cell:
    """Token agreement with interval and floor; SI-SDR with log-mel for decoders, else SQNR.

    Below it the grade, if any, and the costs that it comes of.
    """
    if model.is_decoder or (accuracy.token_agreement is None and accuracy.si_sdr_db is not None):
        mel = accuracy.log_mel_db
        heard: tuple[str, ...] = () if mel is None else (f"log-mel {digits(mel)}{NBSP}dB",)
        if accuracy.si_sdr_db is not None and accuracy.si_sdr_db == float("inf"):
            heard = ("identical audio", *heard)
        if accuracy.worst_si_sdr_db is not None:
            heard += (f"worst clip {db_text(accuracy.worst_si_sdr_db)}",)
        if accuracy.floor_si_sdr_db is not None:
            heard += (f"floor {db_text(accuracy.floor_si_sdr_db)}",)
        return measured(accuracy.si_sdr_db, db_text, heard + grade + cost_lines(accuracy))
    share, floor = accuracy.token_agreement, accuracy.floor
    if share is None and accuracy.numbers_db is not None:
        return measured(accuracy.numbers_db, db_text, ("SQNR of the worst output", *grade))
    lines: tuple[str, ...] = ()
    if accuracy.interval is not None:
        lines += (agreement_range(*accuracy.interval),)
    lines += (f"floor {agreement_text(floor)}" if floor is not None else "floor not measured",)
    if share is not None and floor is not None and share >= floor:
        lines += ("within the floor",)
    lines += grade + _share_lines("sampled", accuracy.sampled_agreement) + cost_lines(accuracy)
    lines += _share_lines("same song", accuracy.same_song)
    if accuracy.numbers_db is not None:
        lines += (f"numbers {db_text(accuracy.numbers_db)} SQNR",)
    return measured(share, agreement_text, lines)


def _share_lines(name: str, found: Figure | None) -> tuple[str, ...]:
    """How often both give the same token, with its interval or without a claim."""
    if found is None or found.value is None or found.low is None or found.high is None:
        return ()
    told = agreement_range(found.low, found.high) if found.can_tell else "cannot tell"
    return (f"{name} {agreement_text(found.value)}", told)


def _ratio_cell(mine: Measurement | None, source: Measurement | None) -> Cell:
    """Time relative to the FP32 source, its interval, and what that lets one say."""
    if mine is None:
        return absent()
    if mine.ratio_to_reference is not None:
        said = () if mine.verdict is None else (mine.verdict,)
        return measured(
            mine.ratio_to_reference, ratio_text, (_interval(mine.ratio_interval), *said)
        )
    if source is None or not source.median_s:
        return absent()
    if len(mine.samples_s) >= 2 and len(mine.samples_s) == len(source.samples_s):
        ratio = paired_ratio(source.samples_s, mine.samples_s)
        spoken = (_interval((ratio.low, ratio.high)), verdict(ratio).value)
        return measured(ratio.value, ratio_text, spoken)
    return measured(mine.median_s / source.median_s, ratio_text, (_interval(None),))


def _interval(interval: tuple[float, float] | None) -> str:
    return "interval not measured" if interval is None else f"{interval[0]:.2f}–{interval[1]:.2f}"


def _target_cell(profile: Profile | None) -> Cell:
    """Another target in one cell: its median, its estimated range, or that there is none."""
    if profile is None:
        return absent()
    if isinstance(profile, Failure):
        return absent("failed")
    if isinstance(profile, Measurement):
        return _median(profile)
    guess = estimate_of(profile)
    if isinstance(profile, Estimate):
        if guess is None:
            return absent()
        text = f"≈{NBSP}{seconds_range(*guess)}"
        return estimate(text, sum(guess) / 2, ("estimate",))
    covered = profile.operators
    kernels: tuple[str, ...] = ()
    if covered is not None:
        kernels = (f"kernels for {percent_text(covered.flops_share)}", "of the arithmetic")
    guessed = () if guess is None else (f"≈{NBSP}{seconds_range(*guess)}, estimate",)
    return absent(lines=(*guessed, *kernels))


def _median(profile: Profile | None) -> Cell:
    if isinstance(profile, Failure):
        return absent("failed")
    if not isinstance(profile, Measurement):
        return absent()
    spread = (
        (seconds_range(profile.p10_s, profile.p90_s),)
        if profile.p10_s is not None and profile.p90_s is not None
        else ()
    )
    noisy = ("noisy: the machine was busy",) if profile.noisy else ()
    return measured(profile.median_s, seconds_text, (*spread, *_pace(profile), *noisy))


def _pace(profile: Measurement) -> tuple[str, ...]:
    """What the time means: beside the sound's own length, or of one step for a transformer."""
    if profile.real_time_factor and profile.audio_s is not None:
        return (f"for {profile.audio_s:.1f}{NBSP}s of sound", pace_text(profile.real_time_factor))
    return ("per sampling step",) if profile.ms_per_step is not None else ()
