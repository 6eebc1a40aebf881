"""A user's own feeds for any model: from a file, from a folder, or from memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from calibration.feeds.checked import checked_feeds, read_feeds
from calibration.feeds.feedset import LABELS_KEY, FeedLabel, FeedSet, digest_feeds
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, sha256_of
from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.records.npz import npz_headers
from vampnet_models.spec import ModelSpec
from vampnet_models.text import a_type

_Held = Path | Feeds
"""An .npz file, or what one would hold: arrays under input names, `NAME` or `NAME/0`, ..."""

Sample = Mapping[str, Array]
InMemory = Sample | Iterable[Sample] | Mapping[str, Sample | Iterable[Sample]]
"""One sample, several, or either for each model by its name."""


@dataclass(frozen=True, eq=False)
class Given:
    """A user's own feeds. Files are read when a model is fed, arrays are held.

    Attributes:
        name: what records and messages call them.
        for_any: what feeds each model that has inputs of these names; nothing by default.
        by_model: what feeds the model of a name; nothing by default.
    """

    name: str
    for_any: tuple[_Held, ...] = ()
    by_model: Mapping[str, tuple[_Held, ...]] = field(default_factory=dict)

    def of(self, models: Sequence[Artifact]) -> Given:
        """The same, by the names of these models alone.

        Raises InputError when they feed none of them, or a file is not readable.
        """
        own = {a.name: self.by_model[a.name] for a in models if a.name in self.by_model}
        if not own and self.for_any:
            keys = {key for held in self.for_any for key in _keys_of(held)}
            own = {a.name: self.for_any for a in models if _takes(a.spec, keys)}
            if not own:
                inputs = (
                    f"{a.name} takes {', '.join(t.name for t in a.spec.inputs) or 'none'}"
                    for a in models
                )
                names = sorted({_name_of(key) for key in keys})
                raise InputError(
                    f"{self.name}: holds {', '.join(names) or 'no arrays'}, which no model "
                    f"takes: {'; '.join(inputs)}; `vampbench feeds MODEL` writes a template"
                )
        if not own:
            raise InputError(
                f"{self.name}: holds feeds for {', '.join(sorted(self.by_model))}, and no model is "
                f"called so; here: {', '.join(a.name for a in models)}"
            )
        return replace(self, for_any=(), by_model=own)

    def feeds(self, artifact: Artifact) -> bool:
        """Whether this model is fed."""
        return artifact.name in self.by_model

    def read(self, artifact: Artifact) -> FeedSet | None:
        """All samples for this model, None without any. Raises InputError as `read_feeds`."""
        held = self.by_model.get(artifact.name)
        if held is None:
            return None
        sets: list[FeedSet] = []
        for each in held:
            before = sum(len(found.feeds) for found in sets)
            sets.append(
                read_feeds(each, artifact.spec)
                if isinstance(each, Path)
                else checked_feeds(self.name, each, artifact.spec, before)
            )
        labels = [label for found in sets for label in found.labels]
        if not isinstance(held[0], Path):
            labels = [FeedLabel(clip=f"{self.name}[{i}]") for i in range(len(labels))]
        feeds = tuple(feed for found in sets for feed in found.feeds)
        return replace(sets[0], feeds=feeds, labels=tuple(labels), audio=self.name)

    def sha256(self, artifact: Artifact) -> str:
        """A hash of all that feeds this model; empty where nothing does."""
        held = self.by_model.get(artifact.name, ())
        paths = tuple(each for each in held if isinstance(each, Path))
        arrays = [each for each in held if not isinstance(each, Path)]
        return sha256_of(paths) if paths else digest_feeds(arrays).hexdigest() if arrays else ""


def given_at(path: Path) -> Given:
    """The feeds that lie at a path.

    That is an .npz file, a folder of them, or a folder that holds NAME.npz or a folder NAME of
    .npz files for each model of that name. Raises InputError where nothing of that is there.
    """
    if path.is_file():
        return Given(path.name, (path,))
    if not path.is_dir():
        raise InputError(f"{path}: no such file; give an .npz with the model's inputs")
    loose = _archives(path)
    by_model: dict[str, tuple[_Held, ...]] = {file.stem: (file,) for file in loose}
    folders = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    for folder in folders:
        if folder.name in by_model:
            raise InputError(
                f"{path}: holds {folder.name} and {folder.name}.npz; leave one of them"
            )
        files = _archives(folder)
        if not files:
            raise InputError(f"{folder}: holds no .npz file; put the model's inputs there")
        by_model[folder.name] = files
    if not by_model:
        raise InputError(f"{path}: holds no .npz file; put the models' inputs there")
    return Given(path.name or str(path), () if folders else loose, by_model)


def given_in_memory(feeds: InMemory, name: str = "feeds") -> Given:
    """Feeds that a program holds.

    A mapping from input names to arrays is one sample, or several under `NAME/0`, `NAME/1`, ...; an
    iterable of such mappings is several; a mapping from models' names to either feeds each model
    of its own. Raises InputError for anything else, and where nothing is there.
    """
    if isinstance(feeds, Mapping) and not any(isinstance(v, np.ndarray) for v in feeds.values()):
        if not feeds:
            raise InputError(f"{name}: nothing is there; give arrays under the names of the inputs")
        for key in feeds:
            _check_key(name, key)
        by_model = {k: _samples(v, f"{name} of {k}") for k, v in feeds.items()}
        return Given(name, (), by_model)
    return Given(name, _samples(feeds, name))


def _samples(feeds: object, name: str) -> tuple[_Held, ...]:
    found = (feeds,) if isinstance(feeds, Mapping) else feeds
    if not isinstance(found, Iterable) or isinstance(found, str | bytes | np.ndarray):
        raise InputError(f"{name}: {a_type(feeds)} is no sample; give a dict of numpy arrays")
    samples = tuple(found)
    if not samples:
        raise InputError(f"{name}: nothing is there; give at least one dict of numpy arrays")
    for number, sample in enumerate(samples):
        if not isinstance(sample, Mapping):
            raise InputError(
                f"{name}: sample {number} is {a_type(sample)}; give a dict of numpy arrays"
            )
        for key, value in sample.items():
            _check_key(f"{name}: sample {number}", key)
            if not isinstance(value, np.ndarray):
                raise InputError(
                    f"{name}: sample {number}, input {key}: is {a_type(value)}; give a numpy array"
                )
    return tuple(dict(sample) for sample in samples)


def _check_key(where: str, key: object) -> None:
    if not isinstance(key, str):
        raise InputError(f"{where}: the name {key!r} is {a_type(key)}; give it as str")


def _archives(folder: Path) -> tuple[Path, ...]:
    """The .npz files of a folder, 2 before 10."""
    found = (p for p in folder.glob("*.npz") if p.is_file() and not p.name.startswith("."))
    return tuple(
        sorted(found, key=lambda p: [part.zfill(9) for part in re.split("([0-9]+)", p.name)])
    )


def _keys_of(held: _Held) -> set[str]:
    return npz_headers(held).keys() - {LABELS_KEY} if isinstance(held, Path) else set(held)


def _name_of(key: str) -> str:
    """The input's name, without the number of a feed."""
    name, slash, number = key.rpartition("/")
    return name if slash and number.isdecimal() else key


def _takes(spec: ModelSpec, keys: set[str]) -> bool:
    """Whether an input has one of the names; a model without inputs takes what has no names."""
    inputs = {tensor.name for tensor in spec.inputs}
    return bool(inputs & (keys | {_name_of(key) for key in keys})) or not (inputs or keys)
