"""Ranges on disk, under the hash of what they come from; unfinished ones are gone on with."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.feeds.feedset import digest_feeds
from calibration.ranges.channel_histograms import CHANNEL_BINS, CHANNEL_PERCENTILE
from calibration.ranges.observers import ChannelRange, MinMax, Range, describe
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, model_files, sha256_of
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.records.npz import read_npz, write_npz

_FORMAT = 2
_FACTS = "calibration.json"
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True)
class _Key:
    """What ranges depend on; two of the same key are the same."""

    graph: str
    feeds: str
    observer: str
    tensors: str
    runtime: str
    format: int = _FORMAT


@dataclass(frozen=True)
class Store:
    """The file that ranges are kept in.

    Another calibration's file is written over, but for one that the user named (`given`): that
    is refused.
    """

    path: Path
    given: bool = False


@dataclass
class Collected:
    """How far a calibration has come.

    `extremes` and `peak_elements` hold the first `n_feeds` feeds, `finished` what the second pass
    has chosen.
    """

    n_feeds: int = 0
    extremes: dict[str, MinMax] = field(default_factory=dict)
    peak_elements: dict[str, int] = field(default_factory=dict)
    finished: dict[str, Range | ChannelRange] = field(default_factory=dict)


def key_of(
    model_path: Path, feeds: Sequence[Feeds], axes: Mapping[str, int | None], observer: str
) -> _Key:
    """The key of a calibration; reads the whole model once."""
    text = json.dumps(list(axes.items()))
    bins = ""
    if observer != "minmax":
        share = f" and {CHANNEL_PERCENTILE} %" if observer == "percentile" else ""
        bins = f", {CHANNEL_BINS} bins{share} per channel"
    return _Key(
        graph=sha256_of(model_files(model_path, load_model(model_path))),
        feeds=digest_feeds(feeds).hexdigest(),
        observer=describe(observer) + bins,
        tensors=hashlib.sha256(text.encode()).hexdigest(),
        runtime=version("onnxruntime"),
    )


def load(store: Store, key: _Key) -> Collected:
    """What is kept under this key; nothing where the file is absent or another calibration's.

    Raises InputError where the user named a file that is unreadable or another calibration's.
    """
    if not store.path.exists():
        return Collected()
    try:
        facts, arrays = _read(store.path)
    except (InputError, ValueError, KeyError) as error:
        if store.given:
            raise InputError(
                f"{store.path}: no calibration file; name another, or one that is to be written"
            ) from error
        return Collected()
    found = {name: facts.get("key", {}).get(name) for name in asdict(key)}
    if found != asdict(key):
        if store.given:
            raise InputError(f"{store.path}: {_difference(found, key)}; name another file")
        return Collected()
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        return _collected(facts, arrays)
    return Collected()


def save(store: Store, key: _Key, collected: Collected) -> None:
    """Write all that is known so far, atomically. Raises InputError when it cannot be written."""
    names = list(collected.extremes)
    seen = [collected.extremes[name].channels() for name in names]
    chosen = list(collected.finished.values())
    lows, highs = ([np.atleast_1d(e).astype(np.float64) for e in ends] for ends in _ends(chosen))
    facts = {
        "key": asdict(key),
        "n_feeds": collected.n_feeds,
        "names": names,
        "peak_elements": [collected.peak_elements[name] for name in names],
        "counts": [collected.extremes[name].count for name in names],
        "finished": list(collected.finished),
        "whole": [isinstance(r, Range) for r in chosen],
    }
    arrays = {
        "sizes": np.array([len(r.low) for r in seen], np.int64),
        "low": np.concatenate([_NOTHING, *(r.low for r in seen)]),
        "high": np.concatenate([_NOTHING, *(r.high for r in seen)]),
        "total": np.concatenate([_NOTHING, *(_totals(collected.extremes[n]) for n in names)]),
        "finished_sizes": np.array([len(low) for low in lows], np.int64),
        "finished_low": np.concatenate([_NOTHING, *lows]),
        "finished_high": np.concatenate([_NOTHING, *highs]),
    }
    write_npz(store.path, {_FACTS: np.array(json.dumps(facts)), **arrays})


def _totals(seen: MinMax) -> NDArray[np.float64]:
    """The sums, as many as there are extremes."""
    return np.broadcast_to(np.atleast_1d(seen.total), seen.channels().low.shape)


def _ends(ranges: Sequence[Range | ChannelRange]) -> tuple[list[Any], list[Any]]:
    return [r.low for r in ranges], [r.high for r in ranges]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    arrays = read_npz(path)
    facts = json.loads(str(arrays.pop(_FACTS)))
    if not isinstance(facts, dict) or not isinstance(facts.get("key"), dict):
        raise ValueError("no calibration")
    return facts, arrays


def _collected(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Collected:
    found = Collected(n_feeds=int(facts["n_feeds"]))
    seen, cuts = _parts(arrays, ""), np.cumsum(arrays["sizes"])[:-1]
    totals = np.split(arrays["total"].astype(np.float64), cuts)[: len(seen)]
    told = zip(facts["names"], seen, totals, facts["counts"], facts["peak_elements"], strict=True)
    for name, (low, high), total, count, peak in told:
        found.extremes[name] = MinMax()
        found.extremes[name].update(low, high, total, int(count))
        found.peak_elements[name] = int(peak)
    chosen = _parts(arrays, "finished_")
    for name, (low, high), whole in zip(facts["finished"], chosen, facts["whole"], strict=True):
        found.finished[name] = (
            Range(float(low[0]), float(high[0]))
            if whole
            else ChannelRange(low.astype(np.float32), high.astype(np.float32))
        )
    return found


def _parts(arrays: dict[str, NDArray[Any]], prefix: str) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    cuts = np.cumsum(arrays[f"{prefix}sizes"])[:-1]
    lows, highs = (np.split(arrays[f"{prefix}{end}"], cuts) for end in ("low", "high"))
    return list(zip(lows, highs, strict=True)) if len(arrays[f"{prefix}sizes"]) else []


def _difference(found: Mapping[str, Any], key: _Key) -> str:
    """In words, what a kept calibration was made of that this one is not."""
    ours = asdict(key)
    for part, what in (
        ("graph", "another graph"),
        ("feeds", "another calibration set"),
        ("tensors", "other tensors of this graph"),
    ):
        if found[part] != ours[part]:
            theirs = str(found[part])[:12]
            return f"is the calibration of {what} (sha256 {theirs}, here {ours[part][:12]})"
    for part in ("observer", "runtime"):
        if found[part] != ours[part]:
            return f"was made with the {part} {found[part]}, not with {ours[part]}"
    return "is of another format"
