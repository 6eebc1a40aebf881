"""The whole search on one small model of no known role, with feeds of the user's own kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.given import given_at
from calibration.feeds.source import Source
from optimize.tuning.candidates import blocks_of
from optimize.tuning.goal import SearchGoal
from optimize.tuning.tune import Search, tune
from profiles.place import cpu
from tests.heard import Heard
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.spec import IR_VERSION, OPSET

WIDTH = 64
GOAL = SearchGoal(
    min_agreement=None,
    min_si_sdr_db=None,
    max_bytes=None,
    max_latency=None,
    prefer="smallest",
    target=cpu(1),
    rounds=2,
    threads=1,
)


def two_layers(folder: Path) -> Artifact:
    """`y = relu(x A) B`, 2 x 16 kB of weights."""
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / 8 for _ in "ab")
    info = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH]) for name in "xy"
    ]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "a"], ["h"], name="first"),
            helper.make_node("Relu", ["h"], ["r"], name="between"),
            helper.make_node("MatMul", ["r", "b"], ["y"], name="second"),
        ],
        "two",
        info[:1],
        info[1:],
        [numpy_helper.from_array(a, "a"), numpy_helper.from_array(b, "b")],
    )
    opset = [helper.make_opsetid("", OPSET)]
    path = folder / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
    return open_artifact(path)


def searched(artifact: Artifact, work: Path, goal: SearchGoal, heard: Heard) -> Search:
    rng = np.random.default_rng(5)
    folder = work / "given"
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(8):
        np.savez(folder / f"{index}.npz", x=rng.standard_normal((4, WIDTH)).astype(np.float32))
    source = Source(feeds=given_at(folder)).of([artifact], heard).opened([artifact], heard)
    inputs = prepare_inputs([artifact], source, work, 1, heard)
    return tune([artifact], inputs, work, goal, heard)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Search, Path]:
    work = tmp_path_factory.mktemp("search")
    return searched(two_layers(work), work, GOAL, Heard()), work


def test_the_smallest_of_all_variants_that_were_built_is_chosen(found):
    search, _ = found
    tuned = search.tuned["two"]
    assert set(tuned.blocks) == set(tuned.effects)
    sizes = {each.recipe: each.bytes for each in tuned.candidates}
    assert {"fp16", "int8-weights"} <= sizes.keys()
    (part,) = search.chosen.parts
    assert part.bytes == min(sizes.values())
    assert not search.reverted


def test_blocks_tell_what_they_got_and_why(found):
    search, _ = found
    tuned = search.tuned["two"]
    for recipe, mixture in tuned.mixtures.items():
        got = {each.block: each.chosen for each in blocks_of(tuned, recipe)}
        assert {name: got[name] for name in mixture} == mixture
    assert {each.why.code for each in blocks_of(tuned, "fp16")} == {"whole-model"}
    assert {each.chosen for each in blocks_of(tuned, "fp16")} == {"fp16"}


def test_held_out_figures_are_of_other_feeds_than_the_search(found):
    search, _ = found
    tuned = search.tuned["two"]
    assert tuned.evaluation.sha256 not in (tuned.search.sha256, tuned.calibration.sha256)
    (part,) = search.chosen.parts
    accuracy = search.held_out.accuracy(part)
    assert accuracy.snr_db == pytest.approx(part.si_sdr_db)
    assert search.held_out.free_running(part) is None  # no transformer


def test_a_second_search_measures_nothing_again(found):
    search, work = found
    heard = Heard()
    again = searched(open_artifact(work / "two.onnx"), work, GOAL, heard)
    assert again.tuned["two"].profiles == search.tuned["two"].profiles
    assert again.chosen == search.chosen


def test_a_bound_that_nothing_meets_leaves_no_set(found):
    _, work = found
    goal = replace(GOAL, max_bytes=1)
    search = searched(open_artifact(work / "two.onnx"), work, goal, Heard())
    assert search.chosen is None and search.uniform is None
    assert search.sets


def test_where_integers_have_no_kernels_no_candidate_quantizes_activations(found, tmp_path):
    usual, _ = found
    goal = replace(GOAL, integers=False)
    search = searched(two_layers(tmp_path), tmp_path, goal, Heard())
    built, offered = [
        set(each.tuned["two"].built)
        | {o.precision for e in each.tuned["two"].effects.values() for o in e}
        for each in (usual, search)
    ]
    quantized = {name for name in built if name.startswith(("int8-static", "int8-dynamic"))}
    assert quantized and not quantized & offered
    assert {"fp16", "int8-weights", "float32"} <= offered
