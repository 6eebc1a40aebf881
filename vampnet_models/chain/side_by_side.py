"""Runs of a small model side by side, each in one thread.

A second thread gives one run of a small model little, and costs much: it waits for the first one,
spinning. On two cores of an AMD Zen 3 the reference models' codec takes 107 ms a run with two
threads and 139 ms with one: side by side, two runs take 139 ms, at 0.65 of the processor's time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.spec import CHAIN_ROLES

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_SMALL_BYTES = 64 * 1024 * 1024
"""Of a model: each run has tensors of its own in memory, and those of a larger one are large."""

_MOST = 4
"""Runs at a time, for the same reason."""


def open_side_by_side(model: Path | bytes, like: Artifact) -> Session:
    """A session of `like` or of a variant of it, for `each_of`.

    Runs of models that are not small, or outside the chain, go on alone, in as many threads as the
    runtime likes: their tensors may be of any size, and one that draws at random draws in turn.
    Raises InputError as `open_session` does.
    """
    at_a_time = _runs_at_a_time(like)
    session = open_session(model, threads=1 if at_a_time > 1 else 0)
    session.at_a_time = at_a_time
    return session


def open_as_floor(model: Path | bytes, like: Artifact) -> Session:
    """One whose sums come in another order: other threads, and nothing fused. Errors likewise."""
    threads = 2 if _runs_at_a_time(like) > 1 else 1
    return open_session(model, threads=threads, graph_optimization="disabled")


def each_of(
    session: Session, work: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """What `work`, which runs the session, gives for each item, in their order.

    No more are done ahead of the caller than run at a time. Raises what `work` raises.
    """
    at_a_time = session.at_a_time
    if at_a_time <= 1:
        yield from map(work, items)
        return
    pending: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(at_a_time) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > at_a_time:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()


def _runs_at_a_time(model: Artifact) -> int:
    if model.role not in CHAIN_ROLES or model.bytes >= _SMALL_BYTES:
        return 1
    return min(_MOST, _cores())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
