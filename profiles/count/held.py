"""What several variants together are shown to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vampnet_models.records.results import GradeName, Model, Variant


@dataclass(frozen=True)
class Held:
    """What several variants together are shown to hold.

    grade: the strictest that each of them holds; None where one holds none.
    without: the models whose variants are not shown to be harmless.
    """

    grade: GradeName | None
    without: tuple[str, ...]

    @property
    def told(self) -> str:
        """The grade, or none and whose variants are not shown to be harmless."""
        return self.grade or f"none: {', '.join(self.without)}"


def held_together(parts: Sequence[tuple[Model, Variant]]) -> Held | None:
    """What these variants are shown to hold; None where one was not judged, as of older runs."""
    grades = [v.grades for _, v in parts if v.grades is not None]
    if not parts or len(grades) < len(parts):
        return None
    # The stricter stands first in each of them.
    common = (each for each in grades[0] if all(each in held for held in grades))
    lacking = (m.name for m, v in parts if v.grades is None or "harmless" not in v.grades)
    return Held(next(common, None), tuple(lacking))
