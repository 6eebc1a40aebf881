"""Trials of blocks and of mixtures near a bound, on a graph of a few products."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.truth.accuracy import reference_truth
from optimize.tuning import mixed
from optimize.tuning.goal import SearchGoal
from optimize.tuning.kept_trials import KeptTrials
from optimize.tuning.mixed import Calibrated
from optimize.tuning.sensitivity import Trials
from profiles.targets.order import parse_targets
from tests.heard import Heard
from tests.optimize.graphs import model, normal
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model

TEXT = """(float[b, t, 64] x) => (float[b, t, 64] y) {
 p = MatMul(x, w0) q = Relu(p) r = MatMul(q, w1) s = Relu(r) y = MatMul(s, w2) }"""


@pytest.fixture
def trials(tmp_path: Path) -> KeptTrials:
    path = tmp_path / "m.onnx"
    made = model(TEXT, **{f"w{i}": normal(64, 64, seed=i) / 8 for i in range(3)})
    for i, node in enumerate(n for n in made.graph if n.op_type == "MatMul"):
        node.name = f"p{i}"
    save_model(made, path)
    feeds = [{"x": normal(4, 40, 64, seed=seed)} for seed in range(2)]
    artifact = open_artifact(path)
    blocks = mixed.blocks_of(load_model(path).graph)
    truth = reference_truth(artifact, feeds)
    return KeptTrials(artifact, path, truth, blocks, Calibrated(), "key", tmp_path, Heard())


def goal(least_db: float | None) -> SearchGoal:
    return SearchGoal(
        min_agreement=0.9,
        min_si_sdr_db=least_db,
        max_bytes=None,
        max_latency=None,
        prefer="smallest",
        target=parse_targets("cpu")[0],
    )


OPTIONS = dict.fromkeys(
    ("p0", "p1", "p2"), ("float32", "float16-weights", "int8-weights", "int4-weights")
)


def test_mixtures_near_the_bound_keep_to_it(trials: KeptTrials) -> None:
    effects = trials.effects(OPTIONS)
    assert [len(each) for each in effects.values()] == [4, 4, 4]
    found = trials.near_bound(effects, goal(30))
    assert found
    levels = [Trials.compare(trials._all, each).numbers_db or 0 for each in found]
    assert min(levels) >= 30
    four, mixture = dict.fromkeys(OPTIONS, "int4-weights"), dict(found[0])
    assert (Trials.compare(trials._all, four).numbers_db or 0) < 30
    assert mixture != dict.fromkeys(OPTIONS, "float32")
    assert trials.near_bound(effects, goal(None)) == []


def test_blocks_that_change_no_token_alone_may_all_be_small(trials: KeptTrials) -> None:
    effects = {
        block: [replace(e, agreement=1.0) for e in each]
        for block, each in trials.effects(OPTIONS).items()
    }
    found = trials.near_bound(effects, goal(5))
    assert found
    sizes = [sum(p == "int4-weights" for p in each.values()) for each in found]
    assert max(sizes) > 0


def test_a_precision_that_does_not_run_is_told_and_left_out(
    trials: KeptTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Trials.measure

    def measure(self: Trials, block: str, precision: str) -> Any:
        if precision == "int4-weights":
            raise InputError("no kernel for it")
        return really(self, block, precision)

    monkeypatch.setattr(Trials, "measure", measure)
    effects = trials.effects(OPTIONS)
    assert [len(each) for each in effects.values()] == [3, 3, 3]
    assert isinstance(trials.reporter, Heard)
    assert "m: p1 as int4-weights: no kernel for it" in trials.reporter.warnings
    assert np.isfinite([e.damage for each in effects.values() for e in each]).all()


def test_trials_of_an_earlier_search_are_kept(
    trials: KeptTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trials.effects(OPTIONS)
    monkeypatch.setattr(Trials, "__init__", lambda *_: pytest.fail("a trial was run again"))
    heard = Heard()
    again = replace(trials, reporter=heard)
    assert again.effects(OPTIONS) == found
    heard.tell_kept()
    assert heard.notes == ["  kept from before: 9 of 9 trials"]
    other = replace(again, key="another")
    with pytest.raises(pytest.fail.Exception, match="run again"):
        other.effects(OPTIONS)
