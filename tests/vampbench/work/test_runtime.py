"""Whether a variant really runs as its name says: in inspect, verify and run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from optimize.recipes import INT8_DYNAMIC
from optimize.variant import read_record, record_path, write_record
from tests.optimize.graphs import Doing
from vampbench.cli.runtime import _lines_of, float_lines
from vampnet_models.records.generic import read
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import FloatNode


@pytest.fixture
def misnamed(generic, tmp_path, vampbench):
    """A float32 model whose record calls it int8-dynamic."""
    path = tmp_path / "misnamed.onnx"
    assert vampbench("fuse", generic / "product.onnx", "-o", path).code == 0
    record = read_record(record_path(path))
    write_record(replace(record, recipe="int8-dynamic"), record_path(path))
    return path


def test_inspect_tells_whether_the_runtime_was_checked(vampbench, tiny, tmp_path):
    path = tmp_path / "small.onnx"
    made = vampbench("int8", tiny / "coarse.onnx", "--mode", "dynamic", "-o", path)
    assert "runtime: not checked" in made.stdout
    assert "SimplifiedLayerNormalization: the runtime has no integer kernel for it" in made.stdout
    assert "runtime     not checked" in vampbench("inspect", path).stdout
    done = vampbench("inspect", path, "--runtime")
    assert done.code == 0
    assert "% of the MatMul and Conv FLOPs: " in done.stdout
    assert "DynamicQuantizeMatMul" in done.stdout
    assert " Attention: two activations multiplied, in float" in done.stdout
    (model,) = vampbench("inspect", path, "--json").result["models"]
    assert model["variant"]["runtime_checked"] is True
    assert model["runtime"] == model["variant"]["runtime"]
    assert model["runtime"]["kernels"]["DynamicQuantizeMatMul"] > 0
    (source,) = vampbench("inspect", tiny / "coarse.onnx", "--json").result["models"]
    assert source["variant"] is source["runtime"] is None


def test_inspect_reads_the_graph_of_any_model(vampbench, generic):
    done = vampbench("inspect", generic / "product.onnx", "--runtime", "--json")
    (model,) = done.result["models"]
    assert (done.code, model["variant"]) == (0, None)
    assert model["runtime"]["float_flops"] == 2 * 1 * 8 * 512
    assert [path.name for path in generic.iterdir()] == ["product.onnx"]


def test_a_share_that_is_not_kept_exits_with_one(vampbench, tiny, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    # What stays in float takes more than the rest of so small a model.
    (folder / "coarse.onnx").write_bytes((tiny / "coarse.onnx").read_bytes())
    options = ("--recipes", "int4-mixed", "--targets", "cpu", "--rounds", "3")
    done = vampbench("run", folder, *options, "-o", tmp_path / "out")
    assert done.code == 1
    assert "int4-mixed promises 22% of the source's bytes: it takes " in done.stderr


def test_a_name_that_is_not_kept_exits_with_one(vampbench, misnamed, generic, tmp_path):
    done = vampbench("inspect", misnamed, "--runtime", "--json")
    assert done.code == 1
    (said,) = done.result["missed"]
    assert "int8-dynamic promises 95% of the MatMul and Conv FLOPs" in said
    assert "[no listed exclusion]" in vampbench("inspect", misnamed, "--runtime").stdout
    judged = vampbench("verify", generic / "product.onnx", misnamed, "--json")
    found = judged.result
    assert (judged.code, found["status"]) == (1, "missed")
    assert "int8-dynamic promises" in found["reason"]
    assert found["runtime"]["integer_share"] == 0


def test_a_run_marks_a_variant_that_breaks_its_promise(vampbench, generic, tmp_path, monkeypatch):
    idle = replace(INT8_DYNAMIC, precision=Doing(lambda _model: None))
    monkeypatch.setattr("vampbench.work.job.EVERY_RECIPE", (idle,))
    out = tmp_path / "out"
    options = ("--recipes", "int8-dynamic", "--target", "mobile")
    done = vampbench("run", generic, "-o", out, *options)
    (variant,) = json.loads((out / "results.json").read_text())["models"][0]["variants"]
    assert (done.code, variant["status"]) == (1, "missed")
    assert "int8-dynamic promises" in variant["reason"]
    assert variant["record"]["runtime_checked"] is True
    assert variant["accuracy"]["snr_db"] > 100


def test_a_record_of_another_file_is_no_check(vampbench, misnamed, generic):
    record = read_record(record_path(misnamed))
    write_record(replace(record, sha256="another"), record_path(misnamed))
    inspected = vampbench("inspect", misnamed, "--runtime")
    assert inspected.code == 2
    assert "describes another file" in inspected.stderr
    judged = vampbench("verify", generic / "product.onnx", misnamed, "--json")
    assert (judged.code, judged.result["runtime"]) == (0, None)
    assert "the runtime was not checked" in judged.stderr


def test_float_nodes_are_counted_per_reason():
    nodes = [FloatNode(f"n{i}", "Norm", "no kernel") for i in range(41)]
    nodes.insert(3, FloatNode("c", "Conv", "first"))
    assert float_lines(nodes) == ["41 Norm: no kernel", "1 Conv: first"]


def test_large_checks_tell_their_disk(vampbench, generic):
    done = vampbench("inspect", generic / "product.onnx", "--runtime", "--json")
    small = read(RuntimeFacts, done.result["models"][0]["runtime"], "it", "mend it")
    facts = replace(small, graph_bytes=1_330_000_000)
    assert ("disk", "the check took 1.33 GB for a moment") in _lines_of(facts, promised=False)
    said = dict(_lines_of(replace(small, unmapped=("a", "b")), promised=False))
    assert "disk" not in said
    assert said["not mapped"] == "2 kernels, first a"


def test_reasons_that_differ_in_numbers_are_one_line():
    nodes = [FloatNode(f"table_{size}", "Gather", f"a table of {size} KiB") for size in (4, 32, 4)]
    nodes += [FloatNode("m", "MatMul", "of layers.3"), FloatNode("n", "MatMul", "of layers.4")]
    assert float_lines(nodes) == [
        "3 Gather: a table of 4 to 32 KiB",
        "1 MatMul: of layers.3",
        "1 MatMul: of layers.4",
    ]
