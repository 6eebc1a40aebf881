"""Whether there is audio enough to show anything, asked before a search."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.feeds.evidence import NO_EVIDENCE, Evidence
from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.tuning.enough import check_enough
from tests.optimize.truth.cost.test_tokens import masked_codes
from tests.optimize.tuning.test_goal import goal
from tests.tiny_graphs import product
from vampnet_models.errors import PromiseMissed
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.spec import Role


def feeds(n_recordings: int, clips: int) -> FeedSet:
    labels = tuple(
        FeedLabel(f"clip {i}", recording=f"song {n}")
        for n in range(n_recordings)
        for i in range(clips)
    )
    return FeedSet(Role.C2F, tuple({} for _ in labels), labels)


@pytest.fixture
def c2f(small_models: Path) -> Artifact:
    return open_artifact(small_models / "c2f.onnx")


ENOUGH = Evidence(masked=tuple(masked_codes()))


def test_enough_recordings_pass(c2f: Artifact) -> None:
    for grade in ("harmless", "faithful"):
        check_enough(c2f, feeds(5, 4), ENOUGH, goal(grade=grade))


@pytest.mark.parametrize(
    ("given", "evidence", "asked", "said"),
    [
        (feeds(5, 4), Evidence(masked=ENOUGH.masked[:8]), "harmless", "2 recordings and 8 clips"),
        (feeds(5, 3), ENOUGH, "faithful", "it needs 5 clips more"),
        (feeds(5, 4), Evidence(note="no cost: no encoder beside it"), "harmless", "no encoder"),
        (feeds(5, 4), NO_EVIDENCE, "harmless", "feeds of your own"),
    ],
)
def test_too_little_is_told_with_how_much_is_needed(
    c2f: Artifact, given: FeedSet, evidence: Evidence, asked: str, said: str
) -> None:
    with pytest.raises(PromiseMissed, match=said):
        check_enough(c2f, given, evidence, goal(grade=asked))
    # What needs no recordings is no matter of them.
    check_enough(c2f, given, evidence, goal(min_agreement=0.9))


def test_a_model_of_another_kind_has_no_cost_to_show(tmp_path: Path) -> None:
    model = open_artifact(product(tmp_path / "m.onnx"))
    check_enough(model, feeds(1, 1), NO_EVIDENCE, goal(grade="harmless"))
