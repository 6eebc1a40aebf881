"""Text that came from a file, made safe to show: one line's worth of harmless characters."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: terminals obey them, ESC first of all
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional overrides turn words around
    "\u2028\u2029"  # line separators
    "\ud800-\udfff"  # halves of a character, which no encoding writes
    "]"
)
"""What no terminal and no page is given."""


def visible(text: str, keep: str = "") -> str:
    """The text with every unsafe character but those to `keep` spelled out as JSON does."""

    def spelled(found: re.Match[str]) -> str:
        return found[0] if found[0] in keep else f"\\u{ord(found[0]):04x}"

    return _UNSAFE.sub(spelled, text)


def is_text(text: str) -> bool:
    """Whether it is text at all: names of files may be any bytes, which Python keeps as halves."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def one_line(text: str) -> str:
    """The text as one visible line: white space of any kind is a single space."""
    return visible(" ".join(text.split()))


def end_of(text: str, n_characters: int) -> str:
    """The text as one visible line, cut between words at its beginning: a reason stands last."""
    line = one_line(text)
    if len(line) <= n_characters:
        return line
    kept = line[-n_characters:]
    whole = kept if line[-n_characters - 1] == " " else kept.partition(" ")[2]
    return f"... {(whole or kept).lstrip()}"


def megabytes(n_bytes: float) -> str:
    """A size for people: decimal MB (or GB), as stores and file managers count."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.2f} GB"
    return f"{n_bytes / 1e6:.2f} MB"


def percent(share: float | None) -> str:
    """A share with two decimals; never rounded up to 100 %."""
    if share is None:
        return "-"
    if 0.9999 < share < 1:
        return f"{min(share * 100, 99.9999):.4f} %"
    return f"{share * 100:.2f} %"


def signed(value: float | None) -> str:
    """A difference with its sign and four decimals, of a small one five."""
    if value is None:
        return "-"
    if abs(value) < 0.000005:
        return "0"
    return f"{value:+.4f}" if abs(value) >= 0.001 else f"{value:+.5f}"


def milliseconds(seconds: float) -> str:
    """`12.3 ms`, and below a millisecond `46 µs`."""
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def plural(n: int, noun: str) -> str:
    """`1 clip`, `4 clips`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def a_type(value: object) -> str:
    """What a value is, for a sentence: "a float", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def pace_text(real_time_factor: float) -> str:
    """Time over the sound's own length, for people: `246 x faster than it plays`."""
    if real_time_factor > 1:
        return f"{real_time_factor:.3g} x slower than it plays"
    return f"{1 / real_time_factor:.3g} x faster than it plays"
