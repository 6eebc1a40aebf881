"""Golden vectors: feeds and what a reference answered to them, in a file.

A variant can then be judged where the reference is too slow, too large or another machine's.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from optimize.truth.accuracy import Truth
from optimize.truth.cost.truth import CostTruth
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.records.npz import read_npz, write_npz

_FACTS = "golden.json"
_PARTS = ("feed", "answer", "floor")


def save_golden(truth: Truth, path: Path) -> None:
    """Write the feeds, the answers (tokens, margins, sampled logits) and the floor's, atomically.

    Raises InputError when the file cannot be written.
    """
    facts = {
        "sha256": truth.reference.sha256,
        "model": truth.reference.path.name,
        "strata": truth.strata,
        "steps": truth.steps,
        "sources": truth.sources,
    }
    parts = zip(_PARTS, (truth.feeds, truth.answers, truth.floor), strict=True)
    arrays = {
        f"{part}/{i}/{name}": values
        for part, each in parts
        for i, feed in enumerate(each)
        for name, values in feed.items()
    }
    write_npz(path, {**arrays, _FACTS: np.array(json.dumps(facts))})


def load_golden(path: Path, reference: Artifact) -> Truth:
    """Read what `save_golden` wrote of this very model.

    Raises InputError for another file, or the vectors of another model.
    """
    try:
        arrays = read_npz(path)
        facts = json.loads(str(arrays.pop(_FACTS)))
        parts: dict[str, list[Feeds]] = {part: [{} for _ in facts["strata"]] for part in _PARTS}
        for key, values in arrays.items():
            part, number, name = key.split("/", 2)
            parts[part][int(number)][name] = values
        strata, steps = tuple(facts["strata"]), tuple(facts["steps"])
        sources = tuple((recording, clip) for recording, clip in facts["sources"])
        made_by, model = facts["sha256"], facts["model"]
    except (InputError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"{path}: no golden vectors; write some with `verify --write-golden`"
        ) from error
    if made_by != reference.sha256:
        raise InputError(
            f"{path}: recorded from another model, a {model} with sha256 {made_by[:12]}; "
            f"{reference.path.name} has {reference.sha256[:12]}"
        )
    feeds, answers, floor = (tuple(parts[part]) for part in _PARTS)
    costs = CostTruth(note="no cost: golden vectors hold no recordings")
    return Truth(reference, feeds, strata, answers, floor, steps, sources, costs)
