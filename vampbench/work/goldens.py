"""What a bundle of a run must answer: kept in the run, so that it needs no source model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.feeds.feedset import FeedSet
from calibration.feeds.lengths import profile_feed
from vampbench.work.workspace import Workspace
from vampnet_models.cache import key_of
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Array, Feeds, Session, open_session
from vampnet_models.records.npz import read_npz, write_npz

_FACTS = "golden.json"


@dataclass(frozen=True)
class Golden:
    """An evaluation feed, and what the source answered to it.

    `output` names the answer that the model is for, first in `references`: its outputs by name.
    """

    source_sha256: str
    output: str
    feeds: Feeds
    references: dict[str, Array]


_MOST_FEEDS = 8
"""That are tried for an answer that is not all zeros: any wrong model could give that one."""


def golden_of(source: Artifact, evaluation: FeedSet) -> Golden | None:
    """Run the source on the middle one of its evaluation feeds: every answer that is finite.

    Where that answer is all zeros, on the next one that tells more. Its output is the tokens, else
    a first one; one number alone says little: an output of several comes before it. None where no
    output is a tensor with finite numbers in it. Raises InputError where the source does not run.
    """
    session, middle = open_session(source.path), len(evaluation.feeds) // 2
    first = None
    for feed in (evaluation.feeds[middle:] + evaluation.feeds[:middle])[:_MOST_FEEDS]:
        found = _answered(source, session, profile_feed(source, feed))
        if found is not None and found.references[found.output].any():
            return found
        first = first or found
    return first


def _answered(source: Artifact, session: Session, feed: Feeds) -> Golden | None:
    answers = session.run(feed)
    numbers = [
        name
        for name in ("tokens", *session.output_names)
        if name in answers and _is_promisable(answers[name])
    ]
    several = [name for name in numbers if answers[name].size > 1]
    output = next(iter(several or numbers), None)
    if output is None:
        return None
    references = {name: answers[name] for name in (output, *numbers)}
    return Golden(source.sha256, output, feed, references)


def _is_promisable(answer: object) -> bool:
    """A tensor with finite numbers in it; no sequence, text or empty state."""
    if not isinstance(answer, np.ndarray) or not answer.size or answer.dtype.kind not in "iuf":
        return False
    return bool(np.isfinite(answer).all())


def keep_golden(source: Artifact, evaluation: FeedSet, space: Workspace) -> None:
    """Write a model's golden feed and answer into the run, once. Raises as `golden_of` does."""
    path = space.golden(source.name)
    key = key_of(source.sha256, evaluation.sha256, "every output")
    if _key(path) == key:
        return
    found = golden_of(source, evaluation)
    if found is None:
        return
    facts = {"key": key, "source_sha256": found.source_sha256, "output": found.output}
    feeds = {f"in/{name}": values for name, values in found.feeds.items()}
    references = {f"out/{name}": values for name, values in found.references.items()}
    write_npz(path, {**feeds, **references, _FACTS: np.array(json.dumps(facts))})


def kept_golden(path: Path, source_sha256: str) -> Golden | None:
    """What `keep_golden` wrote of this very model; None where nothing usable is there."""
    stored = _stored(path)
    if stored is None:
        return None
    facts, arrays = stored
    feeds, references = (
        {
            name.removeprefix(side): values
            for name, values in arrays.items()
            if name.startswith(side)
        }
        for side in ("in/", "out/")
    )
    output = facts.get("output")
    # Earlier runs kept one answer, under another name.
    if facts.get("source_sha256") != source_sha256 or output not in references:
        return None
    return Golden(source_sha256, output, feeds, references)


def _key(path: Path) -> str | None:
    stored = _stored(path)
    return None if stored is None else stored[0].get("key")


def _stored(path: Path) -> tuple[dict[str, str], Feeds] | None:
    try:
        arrays = read_npz(path)
        facts = json.loads(str(arrays.pop(_FACTS)))
    except (InputError, ValueError, KeyError):
        return None
    return (facts, arrays) if isinstance(facts, dict) else None
