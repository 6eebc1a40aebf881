"""What models are fed with, as a caller has it."""

from __future__ import annotations

from pathlib import Path

from calibration.audio.clips import AudioSet
from calibration.feeds.given import Given, InMemory, given_at, given_in_memory
from calibration.feeds.source import Source

AnyData = Source | AudioSet | InMemory | str | Path | None
"""Of `split_audio`, arrays by input, samples of them, or a path: of recordings, or .npz files."""


def as_source(given: AnyData, *, judging: bool = False) -> Source:
    """The source of a call's data; None is the built-in recordings.

    A path is one of feeds where it is, or holds, an .npz file. All feeds of a call calibrate, or
    all of them judge (`judging`). Raises InputError where a path of feeds holds none, or for arrays
    of another form.
    """
    if given is None:
        return Source()
    if isinstance(given, Source):
        return given
    if isinstance(given, AudioSet):
        return Source(given)
    if not isinstance(given, str | Path):
        return _feeding(given_in_memory(given), judging)
    path = Path(given)
    found = (next(path.glob(pattern), None) for pattern in ("*.npz", "*/*.npz"))
    if path.suffix == ".npz" or any(found):
        return _feeding(given_at(path), judging)
    return Source(path)


def _feeding(feeds: Given, judging: bool) -> Source:
    return Source(feeds=feeds, evaluation_feeds=feeds if judging else None)
