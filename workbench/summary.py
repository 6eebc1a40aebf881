"""The terminal's table of a run: a row for each variant."""

from __future__ import annotations

from typing import Any

from vampnet_models.text import end_of
from workbench.console import megabytes, percent
from workbench.workspace import Json


def summary_rows(results: Json) -> list[tuple[str, ...]]:
    """One row per variant, for the terminal."""
    rows: list[tuple[str, ...]] = []
    for model in results["models"]:
        for recipe, variant in variants_told(model):
            rows.append((model["name"], recipe, *_cells(model, variant)))
        for step in model.get("failed_steps", ()):
            reason = f"{step['step']}: {step['reason']}"
            rows.append((model["name"], "-", "failed", "-", "-", "-", _short(reason)))
    return rows


def variants_told(model: Json) -> list[tuple[str, Json]]:
    """A model's variants by recipe; one for all of them where they failed for one reason."""
    variants = model["variants"]
    reasons = {v["reason"] for v in variants if v["status"] == "failed" and v["bytes"] is None}
    if len(variants) > 1 and len(reasons) == 1 and all(v["reason"] in reasons for v in variants):
        return [("all", variants[0])]
    return [(v["recipe"], v) for v in variants]


def _cells(model: Json, variant: Json) -> tuple[str, ...]:
    if variant["bytes"] is None:
        return (variant["status"], "-", "-", "-", _short(variant["reason"]))
    share = variant["bytes"] / model["source_bytes"]
    accuracy: dict[str, Any] = variant["accuracy"] or {}
    says = percent(accuracy.get("token_agreement"))
    if accuracy.get("token_agreement") is None and accuracy.get("si_sdr_db") is not None:
        says = f"{accuracy['si_sdr_db']:.1f} dB SI-SDR"
    elif accuracy.get("token_agreement") is None and accuracy.get("snr_db") is not None:
        says = f"{accuracy['snr_db']:.1f} dB SQNR"
    cpu = variant["profiles"].get("cpu") or {}
    ratio = cpu.get("ratio_to_reference")
    time = f"{cpu['median_s'] * 1000:.1f} ms" if cpu.get("kind") == "measurement" else "-"
    if ratio:
        time += f" ({ratio:.2f} x FP32{', noisy' if cpu.get('noisy') else ''})"
    size = f"{megabytes(variant['bytes'])} ({share:.0%})"
    return (variant["status"], size, says, time, _short(variant["reason"]))


def _short(reason: str | None) -> str:
    """A reason for a table cell: its end, where libraries say why; all of it is in the results."""
    return end_of(reason or "", 80)
