"""Free-form facts (the host's, a profile's) as label and text, the unit read off the name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from profiles.report.views.units import (
    NBSP,
    bytes_text,
    count_text,
    db_text,
    digits,
    percent_text,
    ratio_text,
    seconds_text,
)

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
_OWN_NAMES = ("versions",)
"""Objects whose keys are names already."""


def fact_rows(facts: Iterable[tuple[str, object]]) -> tuple[tuple[str, str], ...]:
    """Label and text of every fact; objects and lists of objects take a row per member."""
    rows: list[tuple[str, str]] = []
    for key, value in facts:
        if value is None:
            rows.append((_label(key), "not recorded"))
        elif isinstance(value, Mapping):
            prefix = "" if key in _OWN_NAMES else f"{_label(key)}: "
            rows += [(f"{prefix}{label}", text) for label, text in fact_rows(value.items())]
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
        return "; ".join(f"{label} {text}" for label, text in fact_rows(value.items()))
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
