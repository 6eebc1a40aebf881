"""One feed through a source and its variant, before the variant gets its name.

It catches wrong graphs; how much a precision costs is what `verify` measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from optimize.probe_feed import drawn_feeds, shortened, small_ones
from optimize.surgery.jumps import Traits, output_traits
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import Artifact, load_model
from vampnet_models.onnxfile.session import Array, Feeds, GraphOptimization, Session, open_session
from vampnet_models.records.variant import Probe
from vampnet_models.spec import Role

_MOST_BYTES = 256_000_000
"""Larger sources are not run while they are converted: the weights would be in memory twice."""

_FLOOR_TIMES = 10.0
"""A variant may differ so many times as much as the source does from itself."""

_UNSURE = 0.5
"""A source whose answers differ by more, between the runtime's own optimizations, tells nothing."""

_BOUNDED_SCALE = 0.25
"""The least scale of answers between 0 and 1: near 0 a relative error says nothing."""

_TRIED = 3
"""Feeds that are tried while the error is over the bound, given or random ones."""

_OPTIMIZATIONS: tuple[GraphOptimization, ...] = ("all", "disabled")


def probe(source: Artifact, variant: Path, bound: float, given: Sequence[Feeds] = ()) -> Probe:
    """Compare a variant with its source on one feed.

    `bound` is the largest relative error (RMS) of an output of the recipe's precision. Outputs
    behind a choice or a draw are compared by name, type and shape. Raises PromiseMissed where the
    variant does not run, an output has another type or shape, is not finite where the source is,
    or is further away than the bound.
    """
    if source.bytes > _MOST_BYTES:
        return Probe(
            not_probed=f"{source.bytes / 1e6:.0f} MB are over {_MOST_BYTES / 1e6:.0f} MB: "
            "`vampbench verify` compares it"
        )
    compared = _Compared(
        output_traits(load_model(source.path)), {p.name: p.shape for p in source.spec.outputs}
    )
    found, error, allowed = Probe(), 0.0, bound
    # A wrong graph is wrong on every feed; an honest one may be unlucky with one.
    few = [shortened(source.spec, each) for each in small_ones(given, _TRIED)]
    for number in range(len(few) or _TRIED):
        feed = few[number] if few else None
        found = _once(source, variant, bound, compared, feed, number)
        error, allowed = found.error or 0.0, found.bound or bound
        if error <= allowed:
            return found
    tried = f"each of {len(few)} given feeds" if len(few) > 1 else f"the {found.feed} feed"
    raise PromiseMissed(
        f"it is wrong on {tried}: an output differs by {error:.2g} of its size, over {allowed:.2g}"
    )


def _once(
    source: Artifact,
    variant: Path,
    bound: float,
    compared: _Compared,
    given: Feeds | None,
    seed: int,
) -> Probe:
    """The error on the given feed, else a random one. Raises PromiseMissed where forms differ."""
    try:
        sessions = [_open(source.path, each) for each in _OPTIMIZATIONS]
        name, feeds, answers = _answered(source, sessions[0], given, seed)
        again = _run(sessions[1], feeds)
    except (InputError, ValueError) as error:
        reason = str(error).removeprefix(f"{source.path}: ")
        return Probe(not_probed=f"the source cannot be run: {reason}")
    # The source's weights go before the variant's come: one of both is in memory at a time.
    del sessions
    try:
        floor = compared.error(answers, again)
    except _Differs as difference:
        return Probe(name, not_probed=f"the source does not answer itself twice: {difference}")
    if floor > _UNSURE:
        return Probe(name, not_probed=f"the source's own answers differ by {floor:.2g}")
    worst = 0.0
    for optimization in _OPTIMIZATIONS:
        try:
            found = _run(_open(variant, optimization), feeds)
            worst = max(worst, compared.error(answers, found))
        except (InputError, _Differs) as error:
            reason = str(error).removeprefix(f"{variant}: ")
            raise PromiseMissed(f"it is wrong on the {name} feed: {reason}") from error
    return Probe(name, worst, max(bound, _FLOOR_TIMES * floor))


class _Differs(Exception):
    """Answers that are not of one model; the message is what differs."""


@dataclass(frozen=True)
class _Compared:
    """How the outputs of one model are compared, with the shapes that it declares."""

    traits: Mapping[str, Traits]
    shapes: Mapping[str, tuple[int | str | None, ...]]

    def error(self, expected: Mapping[str, Any], found: Mapping[str, Any]) -> float:
        """The largest relative error. Raises _Differs."""
        worst = 0.0
        for name, values in expected.items():
            traits = self.traits.get(name, Traits())
            pairs = list(_tensors(name, values, found[name]))
            if traits.chosen or traits.drawn:
                for theirs, ours in pairs:
                    self._check_form(name, theirs, ours)
            else:
                for theirs, ours in _joined(name, pairs):
                    worst = max(worst, _error(name, theirs, ours, bounded=traits.bounded))
        return worst

    def _check_form(self, name: str, theirs: Array, ours: Array) -> None:
        """Of an output behind a choice: the type, and the axes whose size is declared."""
        _check_type(name, theirs, ours)
        declared = self.shapes.get(name, ())
        fixed = [axis for axis, size in enumerate(declared) if isinstance(size, int)]
        same_rank = theirs.ndim == ours.ndim
        if not same_rank or any(theirs.shape[a] != ours.shape[a] for a in fixed if a < ours.ndim):
            raise _Differs(f"{name} {list(theirs.shape)} became {list(ours.shape)}")
        if theirs.dtype.kind == "f" and np.isfinite(theirs).all() and not np.isfinite(ours).all():
            raise _Differs(f"{name} has values that are not finite")


def _joined(name: str, pairs: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Pieces of a sequence end to end: one number alone has no size that an error relates to."""
    for theirs, ours in pairs:
        _check_type(name, theirs, ours)
        if theirs.shape != ours.shape:
            raise _Differs(f"{name} {list(theirs.shape)} became {list(ours.shape)}")
    if len(pairs) < 2 or len({theirs.dtype for theirs, _ in pairs}) > 1:
        return pairs
    whole = [
        np.concatenate([each.reshape(-1) for each in side]) for side in zip(*pairs, strict=True)
    ]
    return [(whole[0], whole[1])]


def _error(name: str, theirs: Array, ours: Array, *, bounded: bool) -> float:
    """The root of the mean squared error, relative to the root of the mean square."""
    if theirs.dtype.kind in "OUS":
        return float(np.mean(theirs.astype(str) != ours.astype(str))) if theirs.size else 0.0
    a, b = theirs.astype(np.float64), ours.astype(np.float64)
    finite = np.isfinite(a)
    n_lost = int((finite & ~np.isfinite(b)).sum())
    if n_lost:
        raise _Differs(f"{n_lost} of {a.size} values of {name} are not finite any more")
    infinite = np.isinf(a)
    if (b[infinite] != a[infinite]).any():
        raise _Differs(f"{name} has other infinities")
    finite &= np.isfinite(b)
    if not finite.any():
        return 0.0
    scale = float(np.sqrt(np.square(a[finite]).mean())) or 1.0
    if bounded:
        scale = max(scale, _BOUNDED_SCALE)
    return float(np.sqrt(np.square(a[finite] - b[finite]).mean())) / scale


def _check_type(name: str, theirs: Array, ours: Array) -> None:
    """Float types may differ: `--io float16` changes them, and nothing else does."""
    if theirs.dtype != ours.dtype and not theirs.dtype.kind == ours.dtype.kind == "f":
        raise _Differs(f"{name} was {theirs.dtype} and became {ours.dtype}")


def _tensors(name: str, theirs: Any, ours: Any) -> Iterable[tuple[Array, Array]]:
    """The tensors of an output side by side: one, those of a sequence, or none of an optional."""
    if isinstance(theirs, list):
        if not isinstance(ours, list) or len(theirs) != len(ours):
            raise _Differs(f"{name} is a sequence of another length")
        for a, b in zip(theirs, ours, strict=True):
            yield from _tensors(name, a, b)
    elif theirs is None or isinstance(theirs, dict):
        if type(theirs) is not type(ours):
            raise _Differs(f"{name} is of another kind")
    else:
        yield np.asarray(theirs), np.asarray(ours)


def _answered(
    source: Artifact, session: Session, given: Feeds | None, seed: int
) -> tuple[str, Feeds, dict[str, Any]]:
    """What kind of feed, the feed and the source's answers. Raises InputError, ValueError."""
    if given is not None:
        return "given", given, _run(session, given)
    refused: InputError | None = None
    kind = "random" if source.spec.role is Role.GENERIC else "role's"
    for feeds in drawn_feeds(source.spec, seed):
        try:
            return kind, feeds, _run(session, feeds)
        except InputError as error:
            refused = refused or error
    raise refused or ValueError("no random feed of a size that it takes is small enough")


def _open(path: Path, optimization: GraphOptimization) -> Session:
    return open_session(path, threads=1, graph_optimization=optimization, portable_instead=False)


def _run(session: Session, feeds: Feeds) -> dict[str, Any]:
    """All outputs by name, sequences as they come. Raises InputError."""
    wanted = {each.name: each.type for each in session.raw.get_inputs()}
    quiet = ort.RunOptions()
    quiet.log_severity_level = 4
    cast = {
        name: values.astype(np.float16) if wanted[name] == "tensor(float16)" else values
        for name, values in feeds.items()
        if name in wanted
    }
    try:
        answers = session.raw.run(None, cast, quiet)
    except Exception as error:
        # The binding raises a different class per status code, all plain Exceptions.
        raise InputError(" ".join(str(error).split())[-200:]) from error
    return dict(zip(session.output_names, answers, strict=True))
