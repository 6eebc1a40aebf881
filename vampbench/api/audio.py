"""Recordings from Python: a folder, split into what calibrates and what judges."""

from __future__ import annotations

from pathlib import Path

from calibration.audio.clips import AudioSet
from calibration.audio.two_folders import load_audio
from vampbench.api.bounds import LEAST_CLIP_S, MOST_CLIP_S, check_within, typed
from vampbench.api.progress import Heard, Listener


@typed
def split_audio(
    folder: str | Path | None = None,
    *,
    evaluation: str | Path | None = None,
    clip_s: float | None = None,
    progress: Listener = None,
) -> AudioSet:
    """The recordings of a folder, or the built-in pack: clips to calibrate on, others to judge by.

    With `evaluation`, another folder judges, and all of the first calibrates. A clip has `clip_s`
    seconds at most; by default 5 of recordings and 3 of the pack, which has 6. What was dropped,
    and why, stands in `dropped`; other warnings in `warnings`. Raises InputError where nothing
    usable is there, and for clips that are not of 1 to 60 s.
    """
    check_within("clip_s", clip_s, LEAST_CLIP_S, MOST_CLIP_S)
    first, second = (None if path is None else Path(path) for path in (folder, evaluation))
    return load_audio(first, Heard(progress), second, clip_s)
