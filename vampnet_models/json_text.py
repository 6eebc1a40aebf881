"""JSON that a file holds, read so that only what JSON can say comes through."""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_INTEGER = 2**63


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises ValueError, and nothing else, for what is no JSON, is nested too deep to read, or holds
    NaN, infinity, or a number that no file size and no time could be.
    """
    try:
        return json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= _MAX_INTEGER:
        raise ValueError(f"the number {text[:20]} is too large")
    return int(text)
