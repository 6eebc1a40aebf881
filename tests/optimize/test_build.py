import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.build import build_variant
from optimize.recipes import RECIPES, find_recipe
from tests.optimize.fusions.test_order import feeds_of
from tests.optimize.graphs import Doing, model, normal, snr_db
from vampnet_models.errors import InputError, NotApplicable, PromiseMissed
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import ROLE_KEY, Role

LEAST_DB = {
    "fused": 100.0,
    "fp16": 45.0,
    "int8-static": 15.0,
    "int8-dynamic": 15.0,
    "int8-weights": 25.0,
    "int4-weights": 6.0,
}
LARGEST_SHARE = {"int8-static": 0.85, "fused": 1.01, "fp16": 0.7, "int4-weights": 0.45}


def calibration(name: str, role: Role) -> FeedSet:
    feeds = tuple(feeds_of(name, frames) for frames in (20, 33))
    return FeedSet(role, feeds, tuple(FeedLabel("noise") for _ in feeds), "noise", "given")


@pytest.mark.parametrize("name", ["codec_encoder", "codec_decoder", "coarse", "c2f"])
def test_every_recipe_makes_a_variant_that_runs_at_other_lengths(
    name: str, small_models: Path, tmp_path: Path
) -> None:
    source = open_artifact(small_models / f"{name}.onnx")
    feeds = feeds_of(name, 26)
    expected = open_session(source.path).run(feeds)
    for recipe in RECIPES:
        made = build_variant(
            source,
            recipe,
            tmp_path / recipe.name / f"{name}.onnx",
            calibration=calibration(name, source.role),
        )
        record = made.record
        assert record.bytes < LARGEST_SHARE.get(recipe.name, 0.55) * source.bytes
        assert (record.calibration is not None) == (recipe.name == "int8-static")
        assert all(node.reason for node in record.float_nodes)
        assert not record.warnings
        found = open_session(made.path).run(feeds)
        for output, values in expected.items():
            assert found[output].shape == values.shape
            if values.dtype == np.float32:
                assert snr_db(values, found[output]) > LEAST_DB[recipe.name], recipe.name
            else:
                assert ((found[output] >= 0) & (found[output] < 1024)).all()


def linear(folder: Path, *, role: str | None = None, text: str | None = None) -> Path:
    body = text or "(float[b, t, 64] x) => (float[b, t, 64] y) { h = MatMul(x, w) y = Gelu(h) }"
    made = model(body, w=normal(64, 64))
    if role is not None:
        made.metadata_props[ROLE_KEY] = role
    save_model(made, folder / "linear.onnx")
    return folder / "linear.onnx"


def test_an_unchanged_variant_is_reused_and_a_changed_one_rebuilt(tmp_path: Path) -> None:
    source = open_artifact(linear(tmp_path))
    recipe, out = find_recipe("int8-weights"), tmp_path / "out" / "linear.onnx"
    first = build_variant(source, recipe, out)
    stamp = out.stat().st_mtime_ns
    assert build_variant(source, recipe, out).record == first.record
    assert out.stat().st_mtime_ns == stamp
    out.write_bytes(out.read_bytes() + b"\0\0")
    assert build_variant(source, recipe, out).record == first.record
    assert out.stat().st_mtime_ns != stamp
    other = replace(source, sha256="of another model")
    assert build_variant(other, recipe, out).record.source.sha256 == "of another model"


def test_another_calibration_is_another_variant(tmp_path: Path) -> None:
    source = open_artifact(linear(tmp_path))
    recipe, out = find_recipe("int8-static"), tmp_path / "out" / "linear.onnx"
    sets = [
        FeedSet(Role.GENERIC, ({"x": gain * normal(1, 6, 64)},), (FeedLabel("a"),), "noise")
        for gain in np.float32([1, 9])
    ]
    records = [build_variant(source, recipe, out, calibration=each).record for each in sets]
    assert [r.calibration.sha256 for r in records if r.calibration] == [s.sha256 for s in sets]
    assert records[0].sha256 != records[1].sha256
    assert [path.name for path in sorted(out.parent.iterdir())] == [
        "linear.onnx",
        "linear.variant.json",
    ]


def test_a_recipe_with_nothing_to_do_is_not_applicable(tmp_path: Path) -> None:
    path = linear(tmp_path, text="(float[b, 4] x) => (float[b, 4] y) { y = Softmax(x) }")
    with pytest.raises(NotApplicable, match="no node was converted: the runtime has no integer"):
        build_variant(open_artifact(path), find_recipe("int8-dynamic"), tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


ODD = """(float[b, t, 64] x) => (float[b, t, 64] y) {
 h = MatMul(x, w) s = Softmax(h) y = Neg(s) }"""


def test_a_missing_fusion_fails_on_a_known_graph_and_warns_on_others(tmp_path: Path) -> None:
    recipe = find_recipe("fused")
    source = open_artifact(linear(tmp_path, role="coarse", text=ODD))
    with pytest.raises(
        PromiseMissed, match=r"relative_attention left softmax_1: .*MatMul or Einsum"
    ):
        build_variant(source, recipe, tmp_path / "out.onnx")
    foreign = open_artifact(linear(tmp_path, text=ODD))
    made = build_variant(foreign, recipe, tmp_path / "out.onnx")
    assert made.record.unmatched[0].rule == "relative_attention"
    assert "softmax_1" in made.record.warnings[0]


def test_a_larger_variant_says_so(tmp_path: Path) -> None:
    text = "(float[b, t, 4] x) => (float[b, t, 4] y) { y = MatMul(x, v) }"
    small = model(text, v=normal(4, 4))
    save_model(small, tmp_path / "tiny.onnx")
    source = open_artifact(tmp_path / "tiny.onnx")
    made = build_variant(source, find_recipe("fp16"), tmp_path / "out" / "tiny.onnx")
    assert any("larger than the source" in warning for warning in made.record.warnings)


def test_weights_that_are_in_16_bits_already_are_called_so(tmp_path: Path) -> None:
    text = "(float[b, t, 64] x) => (float[b, t, 64] y) { y = MatMul(x, v) }"
    save_model(model(text, v=normal(64, 64)), tmp_path / "m.onnx")
    source, recipe = open_artifact(tmp_path / "m.onnx"), find_recipe("fp16")
    build_variant(source, recipe, tmp_path / "half.onnx")
    with pytest.raises(NotApplicable, match="its weights are in 16 bits already; convert from the"):
        build_variant(open_artifact(tmp_path / "half.onnx"), recipe, tmp_path / "out.onnx")


def test_a_variant_that_does_not_load_is_removed(tmp_path: Path) -> None:
    path = linear(tmp_path)

    def spoil(made: ir.Model) -> None:
        made.graph[0].op_type = "NoSuchOperator"

    recipe = replace(find_recipe("fused"), precision=Doing(spoil))
    with pytest.raises(PromiseMissed, match="cannot load it"):
        build_variant(open_artifact(path), recipe, tmp_path / "out" / "linear.onnx")
    assert not (tmp_path / "out").exists()


def test_older_opsets_are_raised(tmp_path: Path) -> None:
    text = "(float[b, t, 64] x) => (float[b, t, 64] y) { y = MatMul(x, w) }"
    made = model(text, w=normal(64, 64))
    made.graph.opset_imports[""] = 17
    made.ir_version = 8
    save_model(made, tmp_path / "old.onnx")
    variant = build_variant(
        open_artifact(tmp_path / "old.onnx"), find_recipe("fp16"), tmp_path / "out.onnx"
    )
    written = load_model(variant.path)
    assert written.opset_imports[""] == 21
    assert written.ir_version == 10


def test_external_weights_are_streamed_and_the_source_stays(tmp_path: Path) -> None:
    text = "(float[b, t, 64] x) => (float[b, t, 64] y) { h = MatMul(x, w) y = Gelu(h) }"
    save_model(model(text, w=normal(64, 64)), tmp_path / "m.onnx", external=True)
    source = open_artifact(tmp_path / "m.onnx")
    assert len(source.files) == 2
    feeds = {"x": normal(2, 5, 64)}
    expected = open_session(source.path).run(feeds)["y"]
    for name in ("fused", "fp16", "int8-dynamic", "int8-weights", "int4-weights"):
        made = build_variant(source, find_recipe(name), tmp_path / name / "m.onnx")
        assert snr_db(expected, open_session(made.path).run(feeds)["y"]) > 18
    assert open_artifact(source.path).sha256 == source.sha256


def test_bad_requests_are_one_line(tmp_path: Path) -> None:
    source = open_artifact(linear(tmp_path))
    with pytest.raises(InputError, match="int8-static: needs data to calibrate on"):
        build_variant(source, find_recipe("int8-static"), tmp_path / "out.onnx")
    with pytest.raises(InputError, match="is the source itself"):
        build_variant(source, find_recipe("fused"), source.path)


def test_the_record_lies_beside_the_model(tmp_path: Path) -> None:
    source = open_artifact(linear(tmp_path))
    made = build_variant(source, find_recipe("fp16"), tmp_path / "out" / "a.onnx")
    written = json.loads((tmp_path / "out" / "a.variant.json").read_text())
    assert written["sha256"] == open_artifact(made.path).sha256
    assert written["source"]["sha256"] == source.sha256
    assert written["versions"]["onnxruntime"]
    assert written["precision"] == {"float16": 1}


def test_a_recipe_that_no_node_got_is_told(tmp_path: Path) -> None:
    """Calibration sees no value inside a branch: products there take ranges as they come."""
    text = """(float[b, 64] x, bool c) => (float[b, 64] y) {
     y = If (c) <
      then_branch = t () => (float[b, 64] t1) { t1 = MatMul(x, w) },
      else_branch = e () => (float[b, 64] e1) { e1 = MatMul(x, v) } > }"""
    path = tmp_path / "m.onnx"
    save_model(model(text, w=normal(64, 64) / 8, v=normal(64, 64, seed=1) / 8), path)
    feeds = tuple({"x": normal(8, 64, seed=n), "c": np.array(n % 2 == 0)} for n in range(4))
    given = FeedSet(Role.GENERIC, feeds, tuple(FeedLabel("noise") for _ in feeds), "noise", "given")
    recipe = find_recipe("int8-static")
    made = build_variant(open_artifact(path), recipe, tmp_path / "v.onnx", calibration=given)
    assert made.record.warnings == (
        "no node is what int8-static says: all 2 are int8-dynamic; the first is in the body of an "
        "If, Loop or Scan: calibration cannot observe its input, its range is taken at run time",
    )
