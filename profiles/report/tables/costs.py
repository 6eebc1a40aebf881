"""What a variant costs, in its model's tables."""

from __future__ import annotations

from profiles.report.tables.cells import Cell, absent, measured
from profiles.report.views.units import count_text, signed_range, signed_text
from vampnet_models.records.accuracy import AccuracyReport


def cost_lines(accuracy: AccuracyReport) -> tuple[str, ...]:
    """The cost with its interval or without a claim; nothing where none is known."""
    if accuracy.cost is None or accuracy.cost[0].value is None:
        return ()
    found, unit = accuracy.cost
    return (
        f"cost {signed_text(found.value)} {unit}",
        signed_range(found.low, found.high) if found.can_tell else "cannot tell",
    )


def cost_cell(accuracy: AccuracyReport) -> Cell:
    """With interval, positions, floor, the dearest recording, and a codec's other costs."""
    if accuracy.cost is None or accuracy.cost[0].value is None:
        return absent()
    found, unit = accuracy.cost
    what = "positions" if accuracy.cost_nats is not None else "samples"
    lines = [
        unit,
        signed_range(found.low, found.high),
        f"of {count_text(found.n)} {what}",
        f"floor {signed_text(found.floor)}",
    ]
    worst, most = max(found.per_recording.items(), key=lambda each: each[1])
    lines.append(f"worst: {worst}, {signed_text(most)}")
    if found.cannot_tell is not None:
        lines.append(found.cannot_tell)
    for name, other in (("STFT", accuracy.cost_stft), ("dB SI-SDR", accuracy.cost_si_sdr_db)):
        if other is not None and other.value is not None:
            lines.append(
                f"{name} {signed_text(other.value)}, {signed_range(other.low, other.high)}"
            )
    return measured(found.value, signed_text, tuple(lines))
