"""Cells of the documents' tables."""

from __future__ import annotations

from typing import Any

from vampnet_models.text import megabytes, percent

Json = dict[str, Any]

ACCURACY = (
    "token_agreement",
    "interval",
    "floor",
    "n_positions",
    "si_sdr_db",
    "floor_si_sdr_db",
    "log_mel_db",
    "near_ties",
    "per_codebook",
)
"""What is quoted of a comparison."""

FIGURES = (
    "sampled_agreement",
    "cost_nats",
    "cost_log_mel_db",
    "cost_si_sdr_db",
    "same_song",
    "same_song_long",
)
"""Its measures with their intervals, of which these are quoted."""

OF_A_FIGURE = ("value", "low", "high", "floor", "n", "n_clips", "heard_s", "per_recording")


def size(n_bytes: int | None) -> str:
    """Megabytes, or a dash."""
    return "-" if n_bytes is None else megabytes(n_bytes)


def same(accuracy: Json) -> str:
    """Agreement with its interval, or what sound is judged by."""
    if accuracy["token_agreement"] is not None:
        low, high = accuracy["interval"]
        return f"{percent(accuracy['token_agreement'])} ({percent(low)} to {percent(high)})"
    if accuracy["si_sdr_db"] is not None:
        return f"SI-SDR {accuracy['si_sdr_db']:.1f} dB, log-mel {accuracy['log_mel_db']:.3f} dB"
    return "-"


def clear(accuracy: Json) -> str:
    """Agreement without near-ties, and how many positions those are."""
    ties = accuracy["near_ties"]
    if ties is None:
        return "-"
    return f"{percent(ties['agreement_excluding'])} ({ties['share']:.0%} are)"


def share(figure: Json | None) -> str:
    """A share with its interval."""
    if figure is None or figure["value"] is None:
        return "-"
    return f"{percent(figure['value'])} ({percent(figure['low'])} to {percent(figure['high'])})"


def floor(figure: Json | None) -> str:
    """What FP32 gives against itself."""
    return "-" if figure is None or figure["floor"] is None else percent(figure["floor"])


def cost(figure: Json | None, digits: int) -> str:
    """A signed difference with its interval."""
    if figure is None or figure["value"] is None:
        return "-"
    value, low, high = (signed(figure[key], digits) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def worst(figure: Json | None, digits: int) -> str:
    """The recording that costs most, and what."""
    if figure is None or not figure["per_recording"]:
        return "-"
    name, value = max(figure["per_recording"].items(), key=lambda each: float(each[1]))
    return f"{signed(value, digits)} ({name})"


def signed(value: float, digits: int) -> str:
    """With its sign, unless it is zero by these digits."""
    return f"{value:+.{digits}f}" if abs(value) * 10**digits >= 0.5 else f"{0:.{digits}f}"


def count(accuracy: Json) -> str:
    """How many positions were compared."""
    if accuracy["n_positions"] is None:
        return "-"
    unit = "tokens" if accuracy["token_agreement"] is not None else "samples"
    return f"{accuracy['n_positions']:,} {unit}"


def time(cpu: Json | None) -> str:
    """Median milliseconds, and their ratio to FP32."""
    if cpu is None:
        return "-"
    noisy = ", noisy" if cpu["noisy"] else ""
    ratio = cpu["ratio_to_reference"]
    against = f" ({ratio:.2f} x{noisy})" if ratio else noisy
    return f"{cpu['median_s'] * 1e3:.1f} ms{against}"
