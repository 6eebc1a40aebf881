"""The terminal's tables of a run: a row for each variant, and what is missing."""

from __future__ import annotations

from vampnet_models.cache import Json
from vampnet_models.text import end_of, megabytes, percent

COLUMNS = ("model", "recipe", "size", "of FP32", "agreement", "CPU", "x FP32")
NOISY = "~"
"""Before a time, or what is made of times, that were taken while the machine was busy."""

NOISY_NOTE = "~ noisy: the machine was busy while this was timed; once it is idle: run --time-again"

_REASON_CHARACTERS = 240
"""Of a reason in a table, which wraps it; all of it stands in the results."""


def summary_rows(results: Json) -> list[tuple[str, ...]]:
    """One row per variant that is there, for the terminal."""
    return [
        (model["name"], recipe, *_cells(model, variant))
        for model in results["models"]
        for recipe, variant in variants_told(model)
        if variant["bytes"] is not None
    ]


def missing_rows(results: Json) -> list[tuple[str, ...]]:
    """What is not there, or not as it was asked for: model, recipe or step, status, reason."""
    rows: list[tuple[str, ...]] = []
    for model in results["models"]:
        for recipe, variant in variants_told(model):
            if variant["status"] != "ok":
                rows.append((model["name"], recipe, variant["status"], _short(variant["reason"])))
        for step in model.get("failed_steps", ()):
            rows.append((model["name"], step["step"], "failed", _short(step["reason"])))
    return rows


def agreement_told(accuracy: Json | None) -> str:
    """Token agreement with the source; for sound, which has no tokens, what it is judged by."""
    found = accuracy or {}
    if found.get("token_agreement") is None:
        if found.get("si_sdr_db") is not None:
            return f"{found['si_sdr_db']:.1f} dB SI-SDR"
        if found.get("snr_db") is not None:
            return f"{found['snr_db']:.1f} dB SQNR"
    return percent(found.get("token_agreement"))


def variants_told(model: Json) -> list[tuple[str, Json]]:
    """A model's variants by recipe; one for all of them where they failed for one reason."""
    variants = model["variants"]
    reasons = {v["reason"] for v in variants if v["status"] == "failed" and v["bytes"] is None}
    if len(variants) > 1 and len(reasons) == 1 and all(v["reason"] in reasons for v in variants):
        return [("all", variants[0])]
    return [(v["recipe"], v) for v in variants]


def _cells(model: Json, variant: Json) -> tuple[str, ...]:
    cpu = variant["profiles"].get("cpu") or {}
    noisy = NOISY if cpu.get("noisy") else ""
    ratio = cpu.get("ratio_to_reference")
    return (
        megabytes(variant["bytes"]),
        f"{variant['bytes'] / model['source_bytes']:.0%}",
        agreement_told(variant["accuracy"]),
        f"{noisy}{cpu['median_s'] * 1000:.1f} ms" if cpu.get("kind") == "measurement" else "-",
        f"{noisy}{ratio:.2f}" if ratio else "-",
    )


def _short(reason: str | None) -> str:
    """A reason for a table cell: cut only where a library tells a story, whose end says why."""
    return end_of(reason or "", _REASON_CHARACTERS)
