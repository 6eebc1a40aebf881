"""What a variant costs, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.text import signed


def cost_lines(report: AccuracyReport) -> Iterator[str]:
    """The cost with its interval and floor, the dearest recording, and whether that tells enough.

    Of a codec, its other costs stand below.
    """
    if report.cost is not None:
        found, unit = report.cost
        if found.value is None:
            return
        what = "positions" if report.cost_nats is not None else "samples"
        yield (
            f"cost             {signed(found.value)} {unit} ({_interval(found)}, floor "
            f"{signed(found.floor)}, {found.n:,} {what})"
        )
        worst, most = max(found.per_recording.items(), key=lambda each: each[1])
        yield f"  worst recording  {worst}: {signed(most)}"
        if found.cannot_tell is not None:
            yield f"  {found.cannot_tell}"
    for name, other in (("STFT", report.cost_stft), ("SI-SDR dB", report.cost_si_sdr_db)):
        if other is not None and other.value is not None:
            where = "" if other.can_tell else f"; {other.n_clips} clips count"
            yield f"  {name:<15}  {signed(other.value)} ({_interval(other)}{where})"


def _interval(found: Figure) -> str:
    if found.n_clips < 2:
        return "no interval of one clip"
    return f"95 % interval {signed(found.low)} to {signed(found.high)}"
