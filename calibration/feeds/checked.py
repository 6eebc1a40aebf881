"""Arrays that a user gives -> checked feeds of a model; what does not fit is named in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from calibration.feeds.feedset import GIVEN, LABELS_KEY, FeedLabel, FeedSet
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Array, Feeds
from vampnet_models.records.npz import Header, npz_headers, numbered, read_npz
from vampnet_models.spec import TENSOR, ModelSpec, TensorSpec

_Value = TypeVar("_Value")


def read_feeds(path: Path, spec: ModelSpec) -> FeedSet:
    """A user's feeds for a model: an .npz file whose keys are input names.

    `NAME` holds the whole input of a single feed; `NAME/0`, `NAME/1`, ... those of several.
    Shapes may differ from feed to feed. What `FeedSet.save_npz` wrote can be read too.

    Raises InputError: no .npz file; inputs missing or unknown; a type, rank or fixed dimension
    that the model does not declare; NaN or infinity. Shapes and types are checked before any array
    is read.
    """
    headers = npz_headers(path)
    headers.pop(LABELS_KEY, None)
    _check(path, spec, _numbered(path, headers, spec), 0)
    arrays = read_npz(path)
    arrays.pop(LABELS_KEY, None)
    found = checked_feeds(path, arrays, spec)
    labels = tuple(FeedLabel(clip=f"{path.name}[{i}]") for i in range(len(found.feeds)))
    return replace(found, labels=labels, audio=path.name)


def checked_feeds(where: Path | str, arrays: Feeds, spec: ModelSpec, before: int = 0) -> FeedSet:
    """Feeds of arrays by key, as an .npz file holds them, after `before` others in messages.

    Raises InputError as `read_feeds`.
    """
    feeds = _numbered(where, arrays, spec)
    _check(where, spec, feeds, before)
    plain = tuple(
        {name: _finite(f"{where}: sample {i}, input {name}", array) for name, array in feed.items()}
        for i, feed in enumerate(feeds, before)
    )
    labels = tuple(FeedLabel(clip=f"{where}[{i}]") for i in range(len(plain)))
    return FeedSet(spec.role, plain, labels, audio=str(where), upstream=GIVEN)


def _numbered(
    where: Path | str, arrays: Mapping[str, _Value], spec: ModelSpec
) -> tuple[dict[str, _Value], ...]:
    if not spec.inputs and not arrays:
        return ({},)
    return numbered(where, arrays, [tensor.name for tensor in spec.inputs])


def _check(
    where: Path | str, spec: ModelSpec, feeds: Sequence[Mapping[str, Header | Array]], before: int
) -> None:
    known = {tensor.name: tensor for tensor in spec.inputs}
    for number, feed in enumerate(feeds, before):
        for name, array in feed.items():
            if name not in known:
                has = ", ".join(known) or "none"
                raise InputError(
                    f"{where}: sample {number}: the model has no input {name}; it has {has}"
                )
            _check_one(f"{where}: sample {number}, input {name}", known[name], array)
        if missing := sorted(known.keys() - feed.keys()):
            raise InputError(
                f"{where}: sample {number} lacks input {missing[0]}; add it under that name"
            )


def _check_one(where: str, tensor: TensorSpec, array: Header | Array) -> None:
    if tensor.form != TENSOR or tensor.dtype == "unknown":
        raise InputError(f"{where}: is a {tensor.described}, which no array can be")
    rank = len(array.shape)
    fixed = [(i, d) for i, d in enumerate(tensor.shape) if isinstance(d, int)]
    fits = rank == len(tensor.shape) and all(array.shape[i] == d for i, d in fixed)
    if tensor.ranked and not fits:
        shape = "[" + ", ".join(map(str, tensor.shape)) + "]"
        several = (
            f"; several samples: name the arrays {tensor.name}/0, {tensor.name}/1, ..."
            if rank == len(tensor.shape) + 1
            else ""
        )
        raise InputError(
            f"{where}: shape {list(array.shape)}, but the model takes {shape}{several}"
        )
    if tensor.dtype == "string":
        if array.dtype.kind not in "US":
            raise InputError(f"{where}: {array.dtype}, but the model takes strings")
    elif array.dtype.newbyteorder("=").name != tensor.dtype:
        remedy = (
            f"convert it with .astype({tensor.dtype!r})"
            if array.dtype.kind in "fiub"
            else "give numbers"
        )
        raise InputError(f"{where}: {array.dtype}, but the model takes {tensor.dtype}; {remedy}")


def _finite(where: str, array: Array) -> Array:
    """The array in this machine's byte order, text as str. Raises InputError for NaN, infinity."""
    if array.dtype.kind == "S":
        return array.astype(str)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{where}: holds NaN or infinity; mend the data")
    return array.astype(array.dtype.newbyteorder("="), copy=False)
