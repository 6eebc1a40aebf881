"""Recordings from Python: a folder, split into what calibrates and what judges."""

from __future__ import annotations

from pathlib import Path

from calibration.audio.clips import AudioSet
from calibration.audio.two_folders import load_audio
from vampbench.api.bounds import typed
from vampbench.api.progress import Heard, Listener


@typed
def split_audio(
    folder: str | Path | None = None,
    *,
    evaluation: str | Path | None = None,
    progress: Listener = None,
) -> AudioSet:
    """The recordings of a folder, or the built-in pack: clips to calibrate on, others to judge by.

    With `evaluation`, another folder judges, and all of the first calibrates. What was dropped,
    and why, stands in `dropped`; other warnings in `warnings`. Raises InputError where nothing
    usable is there.
    """
    first, second = (None if path is None else Path(path) for path in (folder, evaluation))
    return load_audio(first, Heard(progress), second)
