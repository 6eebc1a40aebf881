"""A set of model inputs with their labels: hash, coverage, files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import beside
from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.records.results import FeedCoverage
from vampnet_models.spec import TENSOR, ModelSpec, Role

_RATIO_BINS = 10
_LABELS_KEY = "feedset.json"


@dataclass(frozen=True)
class FeedLabel:
    """Where a feed comes from.

    `step` counts from 0; a step equal to the number of steps is a finished sequence with one
    frame masked again. `mask_ratio` is the masked share of the predicted positions, `prompt`
    what was kept at the start, `codes_from` the model that the given codes come from,
    `audio_class` what kind of sound the clip is.
    """

    clip: str
    step: int | None = None
    mask_ratio: float | None = None
    prompt: str | None = None
    codes_from: str | None = None
    audio_class: str | None = None


@dataclass(frozen=True)
class FeedSet:
    """Inputs of one model: `feeds[i]` is described by `labels[i]`.

    `audio` names the audio set, `upstream` whose codes they are; `warnings` are for the user.
    """

    role: Role
    feeds: tuple[Feeds, ...]
    labels: tuple[FeedLabel, ...]
    audio: str = ""
    upstream: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The hash of all arrays with their names, types and shapes; labels do not count."""
        return digest_feeds(self.feeds, self.role.value).hexdigest()

    def coverage(self) -> FeedCoverage:
        """Mask ratios, prompts and codebook entries over all feeds."""
        ratios = [label.mask_ratio for label in self.labels if label.mask_ratio is not None]
        bins = [max(0, int(np.ceil(ratio * _RATIO_BINS - 1e-9)) - 1) for ratio in ratios]
        prompts = _counted(label.prompt for label in self.labels)
        seen: list[set[int]] = []
        for feed in self.feeds:
            for book, values in enumerate(_given_codes(feed)):
                if book == len(seen):
                    seen.append(set())
                seen[book].update(np.unique(values).tolist())
        return FeedCoverage(
            n_feeds=len(self.feeds),
            mask_ratios=tuple(bins.count(i) for i in range(_RATIO_BINS)) if ratios else (),
            prompts=prompts,
            entries_seen=tuple(len(book) / VAMPNET.codebook_size for book in seen),
            lengths={str(n): count for n, count in sorted(_lengths(self.feeds).items())},
            classes=_counted(label.audio_class for label in self.labels),
            codes_from=_counted(label.codes_from for label in self.labels),
        )

    def save_npz(self, path: Path) -> None:
        """Write arrays as `INPUT/0`, `INPUT/1`, ... and the labels as JSON, atomically.

        Raises InputError when the file cannot be written.
        """
        facts = {
            "role": self.role.value,
            "audio": self.audio,
            "upstream": self.upstream,
            "warnings": self.warnings,
            "labels": [asdict(label) for label in self.labels],
        }
        arrays = {f"{k}/{i}": v for i, feed in enumerate(self.feeds) for k, v in feed.items()}
        write_npz(path, {**arrays, _LABELS_KEY: np.array(json.dumps(facts))})


def save_feed(feed: Feeds, path: Path) -> None:
    """Write one feed with the input names as keys. Raises InputError as `save_npz` does."""
    write_npz(path, feed)


def load_feed_set(path: Path) -> FeedSet:
    """Read what `save_npz` wrote. Raises InputError when the file is something else."""
    arrays = _read_npz(path)
    if _LABELS_KEY not in arrays:
        raise InputError(f"{path}: holds no feed set; write one with FeedSet.save_npz")
    facts = json.loads(str(arrays.pop(_LABELS_KEY)))
    return FeedSet(
        role=Role(facts["role"]),
        # A model without inputs leaves no arrays behind.
        feeds=_numbered(path, arrays) if arrays else tuple({} for _ in facts["labels"]),
        labels=tuple(FeedLabel(**label) for label in facts["labels"]),
        audio=facts["audio"],
        upstream=facts["upstream"],
        warnings=tuple(facts["warnings"]),
    )


def read_feeds(path: Path, spec: ModelSpec) -> FeedSet:
    """A user's feeds for a model: an .npz file whose keys are input names.

    `NAME` holds the whole input of a single feed; `NAME/0`, `NAME/1`, ... those of several.
    Shapes may differ from feed to feed. What `FeedSet.save_npz` wrote can be read too.

    Raises InputError: no .npz file; inputs missing or unknown; a type, rank or fixed dimension
    that the model does not declare; NaN or infinity.
    """
    arrays = _read_npz(path)
    arrays.pop(_LABELS_KEY, None)
    if not spec.inputs and not arrays:
        return FeedSet(spec.role, ({},), (FeedLabel("no inputs"),), path.name, "given")
    feeds = tuple(
        {name: _checked(path, spec, i, name, array) for name, array in feed.items()}
        for i, feed in enumerate(_numbered(path, arrays))
    )
    wanted = {tensor.name for tensor in spec.inputs}
    for i, feed in enumerate(feeds):
        if missing := sorted(wanted - set(feed)):
            raise InputError(f"{path}: feed {i} lacks input {missing[0]}; add it under that name")
    labels = tuple(FeedLabel(clip=f"{path.name}[{i}]") for i in range(len(feeds)))
    return FeedSet(spec.role, feeds, labels, audio=path.name, upstream="given")


def halves(feed_set: FeedSet) -> tuple[FeedSet, FeedSet]:
    """Split given feeds into calibration (the first half) and evaluation (the second).

    A single feed serves for both, with a warning on each.
    """
    n = len(feed_set.feeds)
    if n == 1:
        line = (
            f"{feed_set.audio}: one feed both calibrates and evaluates; give two or more, as "
            "NAME/0, NAME/1, ..."
        )
        both = replace(feed_set, warnings=(*feed_set.warnings, line))
        return both, both
    middle = (n + 1) // 2
    first = replace(feed_set, feeds=feed_set.feeds[:middle], labels=feed_set.labels[:middle])
    second = replace(feed_set, feeds=feed_set.feeds[middle:], labels=feed_set.labels[middle:])
    return first, second


def _counted(names: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter(name for name in names if name is not None))


def _lengths(feeds: Sequence[Feeds]) -> Counter[int]:
    """Feeds by the longest last axis of their inputs."""
    return Counter(
        max((array.shape[-1] for array in feed.values() if array.ndim), default=0) for feed in feeds
    )


def digest_feeds(feeds: Sequence[Feeds], prefix: str = "") -> hashlib._Hash:
    """SHA-256 over all arrays with their names, types and shapes."""
    digest = hashlib.sha256(prefix.encode())
    for feed in feeds:
        for name in sorted(feed):
            array = np.ascontiguousarray(feed[name])
            digest.update(f"|{name}:{array.dtype.str}:{array.shape}|".encode())
            digest.update(array.tobytes())
    return digest


def _given_codes(feed: Feeds) -> list[Array]:
    """Per codebook the codes that the model is shown; empty for models without codes."""
    codes = feed.get("codes")
    if codes is None or codes.ndim != 3:
        return []
    mask = feed.get("mask")
    if mask is None or mask.shape != codes.shape:
        mask = np.zeros(codes.shape, bool)
    return [codes[:, i][mask[:, i] == 0] for i in range(codes.shape[1])]


def _numbered(path: Path, arrays: Mapping[str, Array]) -> tuple[Feeds, ...]:
    feeds: dict[int, Feeds] = {}
    for key, array in arrays.items():
        name, slash, number = key.rpartition("/")
        numbered = bool(slash) and number.isdecimal()
        feeds.setdefault(int(number) if numbered else 0, {})[name if numbered else key] = array
    if not feeds:
        raise InputError(f"{path}: holds no arrays; give inputs under their names")
    if sorted(feeds) != list(range(len(feeds))):
        raise InputError(f"{path}: feeds are numbered with gaps; number them NAME/0, NAME/1, ...")
    return tuple(feeds[i] for i in range(len(feeds)))


def _checked(path: Path, spec: ModelSpec, number: int, name: str, array: Array) -> Array:
    known = {tensor.name: tensor for tensor in spec.inputs}
    if name not in known:
        has = ", ".join(known) or "none"
        raise InputError(f"{path}: the model has no input {name}; it has {has}")
    tensor, where = known[name], f"{path}: feed {number}, input {name}"
    if tensor.form != TENSOR or tensor.dtype == "unknown":
        raise InputError(f"{where}: is a {tensor.described}, which no array can be")
    fixed = [(i, d) for i, d in enumerate(tensor.shape) if isinstance(d, int)]
    fits = array.ndim == len(tensor.shape) and all(array.shape[i] == d for i, d in fixed)
    if tensor.ranked and not fits:
        shape = "[" + ", ".join(map(str, tensor.shape)) + "]"
        several = (
            f"; several feeds: name the arrays {name}/0, {name}/1, ..."
            if array.ndim == len(tensor.shape) + 1
            else ""
        )
        raise InputError(
            f"{where}: shape {list(array.shape)}, but the model takes {shape}{several}"
        )
    if tensor.dtype == "string":
        if array.dtype.kind not in "US":
            raise InputError(f"{where}: {array.dtype}, but the model takes strings")
        return array.astype(str)
    dtype = np.dtype(tensor.dtype)
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise InputError(f"{where}: {array.dtype}, but the model takes {dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{where}: holds NaN or infinity; mend the data")
    return array.astype(dtype)


def _read_npz(path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give an .npz file of model inputs")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        # zipfile, numpy and pickle each raise their own; .npy files have no `files`.
        raise InputError(
            f"{path}: not an .npz file of plain arrays; write it with numpy.savez"
        ) from error


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by key, atomically. Raises InputError when the file cannot be written.

    The runtime gives strings as objects, which only a pickle could hold: they are written as text.
    """
    plain = {k: v.astype(str) if v.dtype.kind == "O" else v for k, v in arrays.items()}
    with beside(path) as staged, staged.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **plain)
