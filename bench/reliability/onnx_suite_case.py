"""One case of the onnx package through one recipe: what came of it."""

from __future__ import annotations

import os
import resource
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.reliability.judge import (
    BOUNDS,
    Answers,
    Unrunnable,
    Value,
    Wrong,
    answers,
    difference,
    judged,
)
from bench.reliability.onnx_cases import Case
from calibration.feeds.checked import read_feeds
from calibration.feeds.feedset import FeedSet
from calibration.feeds.generic import generic_feeds
from calibration.feeds.source import halves
from calibration.ranges.collect import Terms
from calibration.ranges.kept_ranges import Store
from optimize.build import build_variant
from optimize.fusions.weights import product_weight
from optimize.precision.shared import tables
from optimize.precision.weights import weight_only
from optimize.recipes import find_recipe
from vampnet_models.errors import NotApplicable, WorkbenchError
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.npz import write_npz

RIGHT, NOT_APPLICABLE, REFUSED = "right", "not applicable", "refused"
TRACEBACK, UNRUNNABLE, WRONG = "traceback", "unrunnable", "wrong"
FAULTS = (TRACEBACK, UNRUNNABLE, WRONG)
OUTCOMES = (RIGHT, NOT_APPLICABLE, REFUSED, *FAULTS)

SOURCE = "source"
"""Stands for the recipe in the row that tells whether ONNX Runtime runs the case itself."""

_MOST_SHOWN = 300
"""Characters of a message."""

_PUBLISHED_BOUND = 1e-3

_MEMORY_BYTES = 6 << 30
"""Of address space for a case: one that wants more fails, and leaves the machine alone."""


@dataclass(frozen=True)
class Row:
    """What came of a case in one form by one recipe.

    `detail` is the reason of a refusal or a fault, `error` the relative RMS of what is right, and
    `noise` what libraries said on the standard error.
    """

    kind: str
    case: str
    form: str
    recipe: str
    outcome: str
    detail: str = ""
    error: float = 0.0
    noise: str = ""


_SMALLEST = (
    (weight_only, "MIN_ELEMENTS"),
    (product_weight, "_MIN_ELEMENTS"),
    (tables, "_MIN_ELEMENTS"),
)
"""How many values a weight must have to be worth converting; these cases have fewer."""


def take_every_size() -> None:
    """Let this process convert weights of any size."""
    for module, name in _SMALLEST:
        setattr(module, name, 1)


def limit_memory() -> None:
    """Bound what this process may allocate."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def rows_of(case: Case, recipes: tuple[str, ...]) -> Iterator[Row]:
    """A row for the source itself, then one per recipe where ONNX Runtime runs the source."""
    with tempfile.TemporaryDirectory(prefix="suite-") as folder:
        source = Path(folder) / "m.onnx"
        source.write_bytes(case.model)
        try:
            reference = answers(source, case.feeds)
        except Unrunnable as reason:
            detail = tail(str(reason).replace(f"{folder}/", ""))
            yield Row(case.kind, case.name, case.form, SOURCE, UNRUNNABLE, detail)
            return
        yield _source_row(case, reference)
        for recipe in recipes:
            with _listening(Path(folder) / f"{recipe}.stderr") as noise:
                outcome, detail, error = _outcome(case, recipe, source, reference)
            heard = tail(noise.read_text(errors="replace").replace(f"{folder}/", ""))
            detail = detail.replace(f"{folder}/", "")
            yield Row(case.kind, case.name, case.form, recipe, outcome, detail, error, heard)


def _source_row(case: Case, reference: Answers) -> Row:
    """`right` where ONNX Runtime also gives the published answers."""
    name, detail = RIGHT, ""
    try:
        for published, given in zip(case.expected, reference.values, strict=True):
            for x, y in zip(published, given, strict=True):
                # The binding gives types of 8 bits that numpy lacks as plain bytes.
                stored = x.view(np.uint8) if _is_bytes(x, y) else x
                if difference(stored, y, case.random) > _PUBLISHED_BOUND:
                    raise Wrong("other answers than published")
    except (Wrong, ValueError, TypeError) as reason:
        name, detail = WRONG, tail(str(reason))
    return Row(case.kind, case.name, case.form, SOURCE, name, detail)


def _is_bytes(published: Value, given: Value) -> bool:
    both = isinstance(published, np.ndarray) and isinstance(given, np.ndarray)
    return both and published.itemsize == 1 and given.dtype == np.uint8


def _outcome(case: Case, recipe: str, source: Path, reference: Answers) -> tuple[str, str, float]:
    """Outcome, reason and error of one conversion."""
    out = source.parent / recipe / "v.onnx"
    out.parent.mkdir()
    try:
        convert(case, recipe, source, out)
    except NotApplicable as reason:
        return _refusal(NOT_APPLICABLE, str(reason), out)
    except WorkbenchError as reason:
        return _refusal(REFUSED, str(reason), out)
    except Exception as error:  # noqa: BLE001  # what this bench is there to find
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.name}"
        return TRACEBACK, tail(f"{type(error).__name__} in {place}: {error}"), 0.0
    try:
        worst = judged(reference, out, case.feeds, case.random)
    except Unrunnable as reason:
        return UNRUNNABLE, tail(str(reason)), 0.0
    except Wrong as reason:
        return WRONG, str(reason), 0.0
    if worst > BOUNDS[recipe]:
        return WRONG, f"an error of {worst:.2g}, over {BOUNDS[recipe]:g}", worst
    return RIGHT, "", worst


def _refusal(outcome: str, reason: str, out: Path) -> tuple[str, str, float]:
    """A refusal is one line and leaves no file but kept ranges."""
    left = sorted(p.name for p in out.parent.rglob("*") if p.is_file() and p.suffix != ".npz")
    if left:
        return WRONG, f"refused and left {', '.join(left)}", 0.0
    if "\n" in reason or not reason:
        return WRONG, f"refused in {reason.count(chr(10)) + 1} lines: {tail(reason)}", 0.0
    return outcome, reason, 0.0


def convert(case: Case, recipe_name: str, source: Path, out: Path) -> None:
    """What the command does with a generic model, given the case's own feeds as --feeds.

    Raises what `build_variant` does.
    """
    artifact, recipe = open_artifact(source), find_recipe(recipe_name)
    if not recipe.needs_calibration:
        build_variant(artifact, recipe, out)
        return
    terms = Terms(store=Store(out.with_name("v.calibration.npz"), given=False))
    calibration = _calibration_of(case, artifact)
    build_variant(artifact, recipe, out, calibration=calibration, terms=terms)


def _calibration_of(case: Case, artifact: Artifact) -> FeedSet:
    """The case's feeds through an .npz file, where it can hold them; seeded ones elsewhere."""
    arrays = {
        f"{name}/{i}": value.astype(str) if value.dtype == object else value
        for i, feed in enumerate(case.feeds)
        for name, value in feed.items()
        if isinstance(value, np.ndarray)
    }
    if len(arrays) != sum(len(feed) for feed in case.feeds) or not arrays:
        return generic_feeds(artifact.spec, open_session(artifact.path, threads=1), n_feeds=1)
    path = artifact.path.with_name("feeds.npz")
    write_npz(path, arrays)
    return halves(read_feeds(path, artifact.spec))[0]


@contextmanager
def _listening(path: Path) -> Iterator[Path]:
    """Send the standard error of everything in this process, native code too, to a file."""
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield path
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def tail(text: str) -> str:
    """The end of a message, where a runtime's reason stands, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_SHOWN else f"...{line[-_MOST_SHOWN:]}"
