"""Numbers as text, each with its unit; rounding never turns "almost" into "all"."""

from __future__ import annotations

import math

from vampnet_models.text import signed

NBSP = "\u00a0"
NOT_MEASURED = "not measured"


def bytes_text(value: float) -> str:
    """Decimal units and three significant digits: `1.33 GB`."""
    if not math.isfinite(value):
        return f"NaN{NBSP}B"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{digits(value / size)}{NBSP}{unit}"
    return f"{value:.0f}{NBSP}B"


def without_zeros(text: str) -> str:
    """`5.00 MB` as `5 MB`."""
    number, _, unit = text.partition(NBSP)
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number}{NBSP}{unit}" if unit else number


def seconds_text(value: float) -> str:
    """Three significant digits in s, ms or µs: `73.2 ms`."""
    if not math.isfinite(value):
        return f"NaN{NBSP}s"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(value) >= 0.9995 * size:
            return f"{digits(value / size)}{NBSP}{unit}"
    return f"{digits(value / 1e-6)}{NBSP}µs"


def seconds_range(low: float, high: float) -> str:
    """`61.0–75.4 ms`, in the unit of the larger."""
    unit, size = next(
        ((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if abs(high) >= 0.9995 * s), ("µs", 1e-6)
    )
    return f"{digits(low / size)}–{digits(high / size)}{NBSP}{unit}"


def percent_text(share: float) -> str:
    """A share of 1 as percent, three significant digits: `29.3 %`; two more near the whole."""
    near_all = share != 1.0 and digits(100 * share) == "100"
    return f"{f'{100 * share:.2f}' if near_all else digits(100 * share)}{NBSP}%"


def agreement_text(share: float) -> str:
    """A share of agreeing positions: two decimals, more where 100 % would be a lie."""
    return f"{_agreement_digits(share)}{NBSP}%"


def agreement_range(low: float, high: float) -> str:
    """`96.81–97.30 %`."""
    return f"{_agreement_digits(low)}–{_agreement_digits(high)}{NBSP}%"


def ratio_text(ratio: float) -> str:
    """`0.37×`."""
    return f"{_finite(ratio, '.2f')}×"


def db_text(value: float) -> str:
    """Decibels; infinite means identical."""
    if value == math.inf:
        return f"∞{NBSP}dB"
    return f"{_finite(value, '.1f')}{NBSP}dB".replace("-", "\u2212")


def signed_text(value: float | None) -> str:
    """A difference with its sign; a dash where there is none."""
    return signed(value).replace("-", "\u2212")


def signed_range(low: float | None, high: float | None) -> str:
    """Both ends of an interval of differences."""
    return f"{signed_text(low)}{NBSP}to{NBSP}{signed_text(high)}"


def count_text(value: float) -> str:
    """`20,480`."""
    return _finite(value, ",.0f")


def plural(n: int, noun: str) -> str:
    """`1 model`, `4 models`."""
    return f"{n:,}{NBSP}{noun}" if n == 1 else f"{n:,}{NBSP}{noun}s"


def digits(value: float) -> str:
    """Three significant digits without an exponent."""
    if not math.isfinite(value):
        return "NaN"
    value = float(f"{value:.3g}")
    if value == 0:
        return "0"
    decimals = min(6, max(0, 2 - math.floor(math.log10(abs(value)))))
    return f"{value:.{decimals}f}"


def _agreement_digits(share: float) -> str:
    if share == 1.0 or not math.isfinite(share):
        return _finite(100 * share, ".0f")
    for decimals in (2, 3, 4, 5):
        text = f"{100 * share:.{decimals}f}"
        if float(text) != 100.0:
            return text
    return "99.99999"


def _finite(value: float, spec: str) -> str:
    return format(value, spec) if math.isfinite(value) else "NaN"
