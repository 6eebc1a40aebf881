"""Codebooks stored once: the same tokens from a smaller file, and nothing else taken for one."""

from pathlib import Path

import numpy as np
import onnx_ir as ir

from optimize.fusions.order import Form, fuse
from optimize.precision.contract import Traits, traits_of
from optimize.precision.weights import codebook_rows
from optimize.surgery.unused import remove_unused
from optimize.tuning import mixed
from optimize.tuning.mixed import Mixture
from tests.optimize.graphs import Array, check, convert, model, normal, ops, run
from vampnet_models.onnxfile.artifact import load_model, weights_bytes
from vampnet_models.spec import spec_of

SEARCH = """(float[n, 8] x) => (int64[n] code, float[n, 8] row) {
 s = MatMul (x, turned) code = ArgMax <axis = 1, keepdims = 0> (s)
 row = Gather <axis = 0> (table, code) t = MatMul (row, next) other = ArgMax <axis = 1> (t) }"""


ENCODER = Traits(decides_codes=True)


def search(turned: Array, table: Array) -> ir.Model:
    made = model(SEARCH, turned=turned, table=table, next=normal(8, 8, seed=3))
    for node, name in zip(made.graph, ("a/MatMul", "a/ArgMax", "a/Gather", "b", "c"), strict=True):
        node.name = name
    made.graph.outputs.append(next(iter(made.graph.node("c").outputs)))
    return made


def unit(table: Array) -> Array:
    return np.ascontiguousarray((table / np.linalg.norm(table, axis=1, keepdims=True)).T)


def test_the_searched_rows_are_made_of_the_codebook() -> None:
    table = normal(300, 8, seed=1)
    feeds = {"x": normal(40, 8, seed=2)}
    expected = run(search(unit(table), table), feeds)
    made = search(unit(table), table)
    before = weights_bytes(made)
    assert codebook_rows.share(made, ENCODER) == 1
    remove_unused(made)
    assert before - weights_bytes(made) >= table.nbytes - 8
    assert ops(made)["ReduceL2"] == 1
    found = run(made, feeds)
    assert (found["code"] == expected["code"]).all()
    check(made)


def test_another_matrix_is_left_alone() -> None:
    table = normal(300, 8, seed=1)
    assert codebook_rows.share(search(unit(normal(300, 8, seed=4)), table), ENCODER) == 0
    assert codebook_rows.share(search(unit(table) * 2, table), ENCODER) == 0
    empty = table.copy()
    empty[7] = 0
    assert codebook_rows.share(search(np.nan_to_num(unit(table)), empty), ENCODER) == 0


def test_the_encoder_says_the_same(small_models: Path) -> None:
    path = small_models / "codec_encoder.onnx"
    feeds = {load_model(path).graph.inputs[0].name or "": 0.2 * normal(1, 1, 44_100)}
    expected = run(load_model(path), feeds)
    made = load_model(path)
    traits = traits_of(spec_of(made))
    fuse(made, Form.MIXTURE.rules)
    before = weights_bytes(made)
    blocks = mixed.blocks_of(made.graph, traits=traits)
    convert(made, Mixture(blocks, {}, mixed.Calibrated()), traits=traits)
    assert before - weights_bytes(made) > 13 * 32_000
    found = run(made, feeds)
    (name,) = found
    assert (found[name] == expected[name]).mean() > 0.999
