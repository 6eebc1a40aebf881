"""Calibration that is interrupted, repeated, or another model's."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.ranges import collect, kept_ranges
from calibration.ranges.collect import Terms, collect_channel_ranges
from calibration.ranges.kept_ranges import Store, key_of
from calibration.ranges.observers import OBSERVERS
from tests.calibration.ranges.test_collect import feeds_of, write_model
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Feeds

AXES: dict[str, int | None] = {"x": None, "conv": 1, "tanh": 1, "y": None, "nothing": None}


class Stopped(Exception):
    """Stands for Ctrl-C at a certain run."""


class Counting:
    """Progress that counts the runs made, and stops after some."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.runs, self.stop_after = -1, stop_after

    def __call__(self, done: int, total: int) -> None:
        self.runs += 1
        if self.runs == self.stop_after:
            raise Stopped


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "m.onnx", external=True)


def equal(one: dict, two: dict) -> bool:
    return list(one) == list(two) and all(
        type(one[n]) is type(two[n])
        and np.array_equal(one[n].low, two[n].low)
        and np.array_equal(one[n].high, two[n].high)
        and np.array_equal(getattr(one[n], "mean", 0), getattr(two[n], "mean", 0))
        for n in one
    )


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_an_interrupted_calibration_goes_on(
    model: Path, tmp_path: Path, observer: str, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.ranges.collect.GROUP_BYTES", 1)
    feeds = feeds_of((300, 40, 17, 90))
    whole = collect_channel_ranges(model, feeds, AXES, observer)
    terms = Terms(store=Store(tmp_path / "kept.npz"))
    groups = 0 if observer == "minmax" else 4
    runs = len(feeds) * (1 + groups)
    if stop_after < runs:
        with pytest.raises(Stopped):
            collect_channel_ranges(
                model, feeds, AXES, observer, terms=terms, progress=Counting(stop_after)
            )
        again = Counting()
        found = collect_channel_ranges(model, feeds, AXES, observer, terms=terms, progress=again)
        assert equal(found, whole)
        # A group that was broken off is counted anew; finished feeds and groups are not run.
        finished = min(stop_after, len(feeds))
        if stop_after > len(feeds):
            finished += (stop_after - len(feeds)) // len(feeds) * len(feeds)
        assert again.runs == runs - finished
    collect_channel_ranges(model, feeds, AXES, observer, terms=terms)
    once_more = Counting()
    found = collect_channel_ranges(model, feeds, AXES, observer, terms=terms, progress=once_more)
    assert equal(found, whole)
    assert once_more.runs == 0


def test_every_feed_is_on_disk_before_the_next_runs(model: Path, tmp_path: Path) -> None:
    """What SIGKILL leaves: the state after each step, without any clean-up."""
    feeds = feeds_of((30, 40, 17))
    store, states = Store(tmp_path / "kept.npz"), []

    def look(_done: int, _total: int) -> None:
        if store.path.exists():
            key = key_of(model, feeds, AXES, "minmax")
            states.append(kept_ranges.load(store, key).n_feeds)

    collect_channel_ranges(model, feeds, AXES, terms=Terms(store=store), progress=look)
    assert states == [1, 2, 3]


def changed(what: str, model: Path, tmp_path: Path) -> tuple[Path, list[Feeds], dict, str]:
    feeds, axes, observer = feeds_of((30, 40)), dict(AXES), "minmax"
    if what == "graph":
        model = write_model(tmp_path / "other.onnx", opset=18, external=True)
    elif what == "set":
        feeds[1]["x"][0, 0, 0] += 1
    elif what == "tensors":
        axes.pop("tanh")
    elif what == "observer":
        observer = "mse"
    return model, feeds, axes, observer


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("graph", "is the calibration of another graph"),
        ("set", "is the calibration of another calibration set"),
        ("tensors", "is the calibration of other tensors"),
        ("observer", "was made with the observer minmax, not with mse"),
    ],
)
def test_another_calibration_is_refused_by_hash_where_it_was_named(
    model: Path, tmp_path: Path, what: str, said: str
) -> None:
    path = tmp_path / "kept.npz"
    collect_channel_ranges(
        model, feeds_of((30, 40)), AXES, terms=Terms(store=Store(path, given=True))
    )
    before = path.read_bytes()
    other, feeds, axes, observer = changed(what, model, tmp_path)
    with pytest.raises(InputError, match=said):
        collect_channel_ranges(
            other, feeds, axes, observer, terms=Terms(store=Store(path, given=True))
        )
    assert path.read_bytes() == before
    # One that the tool itself finds is not used, and written over.
    found = collect_channel_ranges(other, feeds, axes, observer, terms=Terms(store=Store(path)))
    assert equal(found, collect_channel_ranges(other, feeds, axes, observer))
    assert path.read_bytes() != before


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_not_used(model: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept.npz"
    path.write_bytes(content)
    feeds = feeds_of((30,))
    with pytest.raises(InputError, match="no calibration file"):
        collect_channel_ranges(model, feeds, AXES, terms=Terms(store=Store(path, given=True)))
    found = collect_channel_ranges(model, feeds, AXES, terms=Terms(store=Store(path)))
    assert equal(found, collect_channel_ranges(model, feeds, AXES))


def test_a_cut_file_of_the_same_key_is_not_used(model: Path, tmp_path: Path) -> None:
    feeds, store = feeds_of((30, 20)), Store(tmp_path / "kept.npz")
    whole = collect_channel_ranges(model, feeds, AXES, terms=Terms(store=store))
    facts, arrays = kept_ranges._read(store.path)
    facts["names"] = facts["names"][:-1]
    np.savez(store.path, **{kept_ranges._FACTS: np.array(json.dumps(facts))}, **arrays)
    assert equal(collect_channel_ranges(model, feeds, AXES, terms=Terms(store=store)), whole)


def test_the_runtime_counts(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds, store = feeds_of((30,)), Store(tmp_path / "kept.npz", given=True)
    collect_channel_ranges(model, feeds, AXES, terms=Terms(store=store))
    key = replace(key_of(model, feeds, AXES, "minmax"), runtime="0.1")
    monkeypatch.setattr(collect.kept_ranges, "key_of", lambda *_: key)
    with pytest.raises(InputError, match=r"made with the runtime .*, not with 0\.1"):
        collect_channel_ranges(model, feeds, AXES, terms=Terms(store=store))
