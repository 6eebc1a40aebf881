"""Codes and feeds of an earlier run of the same models and audio: a resumed job starts here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from calibration.audio.clips import Clip
from calibration.feeds.chain_feeds import Encoded
from calibration.feeds.feedset import FeedSet, load_feed_set, save_feed
from vampnet_models.cache import key_of
from vampnet_models.errors import InputError
from vampnet_models.progress import Reporter
from vampnet_models.records.npz import read_npz

_Feeds = tuple[FeedSet, FeedSet]
FORMAT = 6
"""Counts up when the feeds of the same audio and models become others."""


def kept_codes(
    folder: Path, clips: Sequence[Clip], encoder: str, encode: Callable[[], Encoded]
) -> Encoded:
    """The clips with their codes; `encoder` is a hash that stands for whatever encodes."""
    path = folder / f"{key_of(FORMAT, encoder, *(c.sha256 for c in clips))[:32]}.npz"
    with contextlib.suppress(InputError, KeyError):
        stored = read_npz(path)
        codes = tuple(stored[f"codes{i}"] for i in range(len(clips)))
        return Encoded(tuple(clips), codes, str(stored["audio"]), str(stored["upstream"]))
    found = encode()
    arrays = {f"codes{i}": codes for i, codes in enumerate(found.codes)}
    names = {"audio": np.array(found.audio), "upstream": np.array(found.upstream)}
    save_feed(arrays | names, path)
    return found


def kept_feeds(
    folder: Path, model: str, key: str, make: Callable[[], _Feeds], reporter: Reporter
) -> _Feeds:
    """Calibration and evaluation feeds of a model; `key` stands for all that they come from."""
    paths = [folder / f"{model}.{key[:16]}.{side}.npz" for side in ("calibration", "evaluation")]
    with contextlib.suppress(InputError):
        stored = load_feed_set(paths[0]), load_feed_set(paths[1])
        reporter.keep("feeds")
        return stored
    found = make()
    for feed_set, path in zip(found, paths, strict=True):
        feed_set.save_npz(path)
    return found
