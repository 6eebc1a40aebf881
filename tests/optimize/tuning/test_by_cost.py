"""A search by what is lost on real codes: a tiny transformer, and codes that are drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.feeds.evidence import Evidence, MaskedCodes, Place
from optimize.fusions.order import Form, fuse
from optimize.truth.accuracy import reference_truth
from optimize.tuning import mixed
from optimize.tuning.goal import excess
from optimize.tuning.kept_trials import KeptTrials
from optimize.tuning.mixed import FLOAT, Assignment, Calibrated
from optimize.tuning.search import saved_bytes
from optimize.tuning.sensitivity import Effect
from tests.heard import Heard
from tests.optimize.tuning.test_goal import goal
from tests.vampbench.conftest import write_tiny
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import open_session

N, FRAMES = 4, 24
PRECISIONS = (FLOAT, "float16-weights", "int8-weights", "int4-weights")

Effects = dict[str, list[Effect]]


def drawn_evidence(path: Path, n_recordings: int = 5, pieces: int = 4) -> Evidence:
    """Masked codes that FP32 itself gives, each as often as it expects it."""
    rng, session, found = np.random.default_rng(0), open_session(path), []
    for number in range(n_recordings * pieces):
        codes = rng.integers(0, 1024, (1, N, FRAMES))
        mask = (rng.random(codes.shape) < (0.95, 0.45)[number % 2]).astype(np.int64)
        logits = session.run({"codes": np.where(mask == 1, 0, codes), "mask": mask})["logits"]
        drawn = (logits[..., :1024] + rng.gumbel(size=(1, N, FRAMES, 1024))).argmax(axis=-1)
        codes = np.where(mask == 1, drawn, codes)
        place = Place(f"song {number // pieces}", "clip", FRAMES * (number % pieces))
        found.append(MaskedCodes(place, codes, mask, FRAMES))
    return Evidence(masked=tuple(found))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[KeptTrials, Effects]:
    """The trials of a coarse model of one layer, and what its blocks do alone."""
    folder = tmp_path_factory.mktemp("by cost")
    artifact = open_artifact(write_tiny(folder) / "coarse.onnx")
    model = load_model(artifact.path)
    fuse(model, Form.MIXTURE.rules)
    save_model(model, folder / "fused.onnx")
    graph = load_model(folder / "fused.onnx").graph
    blocks = mixed.blocks_of(graph)
    evidence = drawn_evidence(artifact.path)
    feeds = [{"codes": each.codes, "mask": each.mask} for each in evidence.masked]
    sources = [(each.place.recording, each.place.piece) for each in evidence.masked]
    truth = reference_truth(artifact, feeds, sources=sources, evidence=evidence)
    trials = KeptTrials(
        artifact, folder / "fused.onnx", truth, blocks, Calibrated(), "key", folder, Heard()
    )
    options = {
        block: tuple(p for p in each if p in PRECISIONS)
        for block, each in mixed.options_of(graph, blocks).items()
    }
    return trials, trials.effects(options)


def smallest(found: list[Assignment], effects: Effects) -> Assignment:
    return max(found, key=lambda each: saved_bytes(effects, each))


def test_a_block_is_measured_by_what_it_costs(searched: tuple[KeptTrials, Effects]) -> None:
    _, effects = searched
    for block, each in effects.items():
        for effect in each[1:]:
            assert effect.cost is not None and effect.sampled_agreement is not None
            assert effect.damage > 0, block
            assert Effect.of(effect.option) == effect
    (classifier,) = (each for block, each in effects.items() if block.startswith("classifier"))
    damages = {effect.precision: effect.damage for effect in classifier}
    assert damages["float16-weights"] < damages["int8-weights"] < damages["int4-weights"]


def test_a_mixture_that_is_found_by_cost_keeps_it_where_tokens_would_not_let_it_through(
    searched: tuple[KeptTrials, Effects],
) -> None:
    trials, effects = searched
    by_cost = smallest(trials.near_bound(effects, goal(grade="harmless")), effects)
    by_tokens = smallest(trials.near_bound(effects, goal(min_agreement=0.99)), effects)
    found = trials._all.compare(by_cost)
    assert found.cost_nats is not None and found.cost_nats.high is not None
    assert found.cost_nats.can_tell and found.cost_nats.high <= 0.01
    assert found.token_agreement is not None and found.token_agreement < 0.99
    assert saved_bytes(effects, by_cost) > saved_bytes(effects, by_tokens)


def test_a_tighter_bound_takes_more_and_a_sampled_one_counts(
    searched: tuple[KeptTrials, Effects],
) -> None:
    trials, effects = searched
    sizes = []
    for asked in ({"max_cost_nats": 0.2}, {"max_cost_nats": 0.004}, {"grade": "faithful"}):
        wanted = goal(**asked)
        mixture = smallest(trials.near_bound(effects, wanted), effects)
        found = trials._all.compare(mixture)
        used = excess(trials.artifact.spec, found, wanted)
        assert used is not None and used <= 1
        sizes.append(saved_bytes(effects, mixture))
        if "grade" in asked:
            assert found.sampled_agreement is not None and found.sampled_agreement.low is not None
            assert found.sampled_agreement.low >= 0.99
    assert sizes[0] > sizes[1] > 0 < sizes[2]
