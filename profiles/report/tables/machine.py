"""What was measured where, and how to get what was not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from profiles.report.tables.phones import SHOWN_AS_PHONES
from profiles.report.tables.table import Row, Table
from profiles.report.views.kernels import SHOWN_AS_KERNELS, timed_kernels
from profiles.report.views.target_lines import how_to_measure
from profiles.report.views.units import (
    NBSP,
    NOT_MEASURED,
    bytes_text,
    count_text,
    db_text,
    digits,
    percent_text,
    plural,
    ratio_text,
    seconds_text,
)
from profiles.targets.order import profilers
from vampnet_models.records.generic import as_json
from vampnet_models.records.profiles import Estimate, NotMeasured, Profile
from vampnet_models.records.results import Audio, Results

_LABELS = {
    "cpu": "processor",
    "flags": "processor flags",
    "cores": "cores used",
    "cores_machine": "cores of the machine",
    "quota_cores": "core quota",
    "virtual": "virtual machine",
    "load_1min": "load over 1 min",
    "os": "operating system",
    "n_samples": "timed runs",
    "base_rss": "memory before the model",
    "overhead": "the harness adds",
    "outliers": "outliers (number of the run)",
    "foreign": "used by other processes",
    "session_cold": "session opens in, file not cached",
}
_UNITS = ("_per_s", "_bytes", "_share", "_ratio", "_db", "_hz", "_ms", "_s")
_NOTHING: tuple[object, ...] = (None, [], {})
_ELSEWHERE = (
    SHOWN_AS_PHONES
    | SHOWN_AS_KERNELS
    | {"kind", "target", "median_s", "p10_s", "p90_s", "samples_s", "yardstick_s", "warmup_s"}
    | {"noisy", "session_s", "first_run_s", "peak_rss_bytes", "threads", "bytes"}
    | {"ratio_to_reference", "ratio_interval", "verdict", "low_s", "high_s", "assumptions"}
    | {"reason", "remedy", "notes", "warnings"}
)
"""Fields of a profile that stand elsewhere on the page, or say nothing by themselves."""

_OWN_NAMES = ("versions",)
"""Objects whose keys are names already."""


def _fact_rows(facts: Iterable[tuple[str, object]]) -> tuple[tuple[str, str], ...]:
    """Label and text of every fact; objects and lists of objects take a row per member."""
    rows: list[tuple[str, str]] = []
    for key, value in facts:
        if value is None:
            rows.append((_label(key), "not recorded"))
        elif isinstance(value, Mapping):
            prefix = "" if key in _OWN_NAMES else f"{_label(key)}: "
            rows += [(f"{prefix}{label}", text) for label, text in _fact_rows(value.items())]
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            rows += [(_label(key), _text(key, v)) for v in value]
        else:
            rows.append((_label(key), _text(key, value)))
    return tuple(rows)


def _label(key: str) -> str:
    unit = next((u for u in _UNITS if key.endswith(u)), "")
    stem = key.removesuffix(unit)
    return _LABELS.get(stem, stem.replace("_", " "))


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(key, float(value))
    if isinstance(value, Mapping):
        return "; ".join(f"{label} {text}" for label, text in _fact_rows(value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(_text(key, v) for v in value) or "none"
    return str(value)


def _number(key: str, value: float) -> str:
    if key.endswith("_bytes"):
        return bytes_text(value)
    if key.endswith("_share") or key in ("spread", "drift"):
        return percent_text(value)
    if key.endswith("_ratio"):
        return ratio_text(value)
    if key.endswith("_db"):
        return db_text(value)
    if key.endswith("_hz"):
        return f"{digits(value / 1e9)}{NBSP}GHz" if value >= 1e9 else f"{digits(value)}{NBSP}Hz"
    if key.endswith("_per_s"):
        return f"{digits(value / 1e9)}{NBSP}G/s"
    if key.endswith("_ms"):
        return seconds_text(value / 1e3)
    if key.endswith("_s"):
        return seconds_text(value)
    return count_text(value) if value == int(value) else digits(value)


_OPERATORS_HOW = "make report-full, or vampbench run MODELS -o OUT --operators"
_BLOCKS_HOW = (
    "make report-full, or vampbench tune MODELS -o TUNED, then vampbench report OUT --tuned TUNED"
)


@dataclass(frozen=True)
class TargetRow:
    """How far one target is covered by the run's variants."""

    target: str
    kind: str
    counts: str
    note: str


def host_rows(run: Results) -> tuple[tuple[str, str], ...]:
    """The machine's facts as the run recorded them."""
    return () if run.host is None else _fact_rows(as_json(run.host).items())


def audio_rows(audio: Audio) -> tuple[tuple[str, str], ...]:
    """The audio set's name, hash and length."""
    lengths = (("calibration", audio.calibration_s), ("evaluation", audio.evaluation_s))
    return (
        ("set", audio.name or "not recorded"),
        ("sha256", audio.sha256[:12] if audio.sha256 else "not recorded"),
        *((name, "not recorded" if s is None else seconds_text(s)) for name, s in lengths),
        ("dropped", plural(len(audio.dropped), "clip")),
    )


def coverage(run: Results) -> tuple[TargetRow, ...]:
    """A line per target: measured, estimated, not measured, and how to get the rest."""
    variants = [v for m in run.models for v in m.variants if v.usable]
    targets = dict.fromkeys(
        [*(p.name for p in profilers()), *(t for v in variants for t in v.profiles)]
    )
    made = []
    for target in targets:
        profiles = [v.profiles.get(target) for v in variants]
        n_measured = sum(p is not None and p.kind == "measurement" for p in profiles)
        n_estimated = sum(p is not None and p.kind == "estimate" for p in profiles)
        gap = len(profiles) - n_measured - n_estimated
        counts = ((n_measured, "measured"), (n_estimated, "estimated"), (gap, NOT_MEASURED))
        kind = "measurement" if n_measured else "estimate" if n_estimated else "absent"
        notes = [_assumed(profiles)]
        notes += [how_to_measure(target, profiles)] if gap or not profiles else []
        notes += ["only the device itself can measure"] if n_estimated else []
        said = ", ".join(f"{n} {word}" for n, word in counts if n)
        text = f"{said} of {plural(len(profiles), 'variant')}" if said else "no variant to measure"
        made.append(TargetRow(target, kind, text, "; ".join(n for n in notes if n)))
    return (*made, *_extras(run))


def _extras(run: Results) -> tuple[TargetRow, ...]:
    """What a run measures only when asked to, and how to ask."""
    found = (
        ("operators, roofline", sum(bool(timed_kernels(m)) for m in run.models), _OPERATORS_HOW),
        ("damage per block", sum(bool(m.blocks) for m in run.models), _BLOCKS_HOW),
    )
    made = []
    for name, n, how in found:
        kind = "measurement" if n else "absent"
        text = f"measured for {n} of {plural(len(run.models), 'model')}" if n else NOT_MEASURED
        made.append(
            TargetRow(name, kind, text, "" if n and n == len(run.models) else f"run: {how}")
        )
    return tuple(made)


def profile_details(run: Results) -> tuple[tuple[str, Table], ...]:
    """Per target: the recorded figures that stand nowhere else, by model and recipe."""
    owners = [(f"{m.name} · FP32 source", "source", m.profiles) for m in run.models]
    owners += [
        (f"{m.name} · {v.recipe}", v.status, v.profiles) for m in run.models for v in m.variants
    ]
    targets = dict.fromkeys(target for _, _, profiles in owners for target in profiles)
    made = []
    for target in targets:
        rows = []
        for name, status, profiles in owners:
            profile = profiles.get(target)
            found = () if profile is None else _facts(profile)
            if profile is not None and found:
                kind = NOT_MEASURED if isinstance(profile, NotMeasured) else profile.kind
                rows.append(Row(name, None, status, "; ".join((kind, *found)), ()))
        if rows:
            made.append((target, Table(("Figures",), tuple(rows))))
    return tuple(made)


def _facts(profile: Profile) -> tuple[str, ...]:
    shown = {k: v for k, v in as_json(profile).items() if k not in _ELSEWHERE and v not in _NOTHING}
    return tuple(f"{name} {text}" for name, text in _fact_rows(shown.items()))


def _assumed(profiles: list[Profile | None]) -> str:
    estimated = [p for p in profiles if isinstance(p, Estimate | NotMeasured)]
    texts = dict.fromkeys(text for p in estimated for text in p.assumptions)
    return f"assumes: {'; '.join(texts)}" if texts else ""
