"""What models are fed with, as a caller has it."""

from __future__ import annotations

from pathlib import Path

from calibration.audio.clips import AudioSet
from calibration.feeds.given import InMemory, given_at, given_in_memory
from calibration.feeds.source import Source

AnyData = Source | AudioSet | InMemory | str | Path | None
"""Of `split_audio`, arrays by input, samples of them, or a path: of recordings, or .npz files."""


def as_source(given: AnyData) -> Source:
    """The source of a call's data; None is the built-in recordings.

    A path is one of feeds where it is, or holds, an .npz file. Raises InputError where a path of
    feeds holds none, or for arrays of another form.
    """
    if given is None:
        return Source()
    if isinstance(given, Source):
        return given
    if isinstance(given, AudioSet):
        return Source(given)
    if not isinstance(given, str | Path):
        return Source(feeds=given_in_memory(given))
    path = Path(given)
    found = (next(path.glob(pattern), None) for pattern in ("*.npz", "*/*.npz"))
    if path.suffix == ".npz" or any(found):
        return Source(feeds=given_at(path))
    return Source(path)
