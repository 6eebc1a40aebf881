"""One range per tensor, whatever its channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from calibration.ranges.collect import collect_channel_ranges
from calibration.ranges.observers import Range
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Progress


def collect_ranges(
    path: Path,
    feeds: Iterable[Feeds],
    tensors: Sequence[str],
    observer: str = "minmax",
    progress: Progress | None = None,
) -> dict[str, Range]:
    """The range of each tensor over all feeds."""
    found = collect_channel_ranges(path, feeds, dict.fromkeys(tensors), observer, progress=progress)
    assert all(isinstance(each, Range) for each in found.values())
    return found
