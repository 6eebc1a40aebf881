"""Typed reading of results.json: a missing field is None, a field of the wrong type an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vampnet_models.errors import InputError


@dataclass(frozen=True)
class Record:
    """A JSON object and where it stands in the file, for the error's sake.

    Every reader raises InputError, naming the place, when a field has another type than asked.
    """

    data: Mapping[str, object]
    where: str = "results"

    def number(self, key: str) -> float | None:
        """A number (infinities and NaN included), or None when absent or null."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number", value)
        return float(value)

    def count(self, key: str) -> int | None:
        """A whole number, or None when absent or null."""
        value = self.number(key)
        if value is None:
            return None
        if value != value or value in (float("inf"), float("-inf")) or value != int(value):
            raise self._wrong(key, "a whole number", value)
        return int(value)

    def text(self, key: str) -> str | None:
        """A string, or None when absent or null."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return value

    def record(self, key: str) -> Record:
        """An object; an empty one when absent or null."""
        value = self.data.get(key)
        if value is None:
            return Record({}, f"{self.where}.{key}")
        if not isinstance(value, dict):
            raise self._wrong(key, "an object", value)
        return Record(value, f"{self.where}.{key}")

    def _wrong(self, key: str, wanted: str, value: object) -> InputError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        return InputError(
            f"{self.where}.{key}: must be {wanted}, is {shown}; write the results again"
        )
