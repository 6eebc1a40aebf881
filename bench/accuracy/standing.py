"""Where we stand: each tool's model beside the best of ours of its size or less, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.accuracy.measures import MEASURES, Measure
from vampnet_models.cache import Json
from vampnet_models.text import megabytes

OURS = "ours: "

_SAME_SIZE = 1.001
"""Files that differ by less are of one size: names of nodes take as much."""


@dataclass(frozen=True)
class _Pair:
    """A tool's row and the best of ours of its size or less, None where none is so small."""

    theirs: Json
    ours: Json | None


def standing(content: Json) -> str:
    """A row per model and measure: how many tools we are ahead of, and those that we are not."""
    lines = [
        "| model | by | tools that ran | ours is ahead | level; of these, better in theirs "
        "| theirs is ahead |",
        "|---|---|---:|---:|---|---|",
    ]
    for model in content["models"]:
        for measure in MEASURES:
            pairs = list(_pairs(model, measure))
            if pairs:
                ahead = [each for each in pairs if _is_ahead(each.ours, each.theirs, measure)]
                behind = [each for each in pairs if _is_ahead(each.theirs, each.ours, measure)]
                level = [each for each in pairs if each not in ahead and each not in behind]
                better = [each for each in level if not _is_better(each, measure)]
                cells = [model["name"], measure.name, str(len(pairs)), str(len(ahead))]
                cells.append(f"{len(level)}; {_told(better, measure)}")
                cells.append(_told(behind, measure))
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _pairs(model: Json, measure: Measure) -> Iterator[_Pair]:
    ran = [row for row in model["tools"] if measure.of(row) is not None]
    mine = [row for row in ran if row["tool"].startswith(OURS)]

    def loss(row: Json) -> float:
        return measure.loss(measure.of(row) or {})

    for row in ran:
        if row not in mine:
            small = [each for each in mine if each["bytes"] <= row["bytes"] * _SAME_SIZE]
            yield _Pair(row, min(small, key=loss, default=None))


def _is_better(pair: _Pair, measure: Measure) -> bool:
    """Whether ours has the better value."""
    theirs, ours = measure.of(pair.theirs), pair.ours and measure.of(pair.ours)
    return bool(ours and theirs and measure.loss(ours) < measure.loss(theirs))


def _is_ahead(one: Json | None, other: Json | None, measure: Measure) -> bool:
    """Whether the worse end of one's interval is better than the better end of the other's.

    Where ours has no model that is so small, theirs is ahead.
    """
    if one is None or other is None:
        return other is None
    ends = [
        [measure.loss(measure.of(row) or {}, end) for end in ("low", "high")]
        for row in (one, other)
    ]
    return max(ends[0]) < min(ends[1])


def _told(pairs: list[_Pair], measure: Measure) -> str:
    def of(row: Json) -> str:
        return f"{measure.told(measure.of(row) or {})}, {megabytes(row['bytes'])}"

    told = []
    for each in pairs:
        beside = "smaller than all of ours"
        if each.ours is not None:
            beside = f"`{each.ours['tool'].removeprefix(OURS)}`: {of(each.ours)}"
        told.append(f"{each.theirs['tool']} ({of(each.theirs)}; {beside})")
    return "; ".join(told) or "none"
