"""Neural Compressor as a backend; what runs the tool skips where `make env-inc` was not made."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.backends import inc, inc_script
from optimize.build import build_variant
from optimize.runtime.check import missed_promise, promised_share, with_runtime
from optimize.variant import Variant
from tests.optimize.graphs import model, normal
from vampnet_models.errors import InputError, NotApplicable, PromiseMissed
from vampnet_models.onnxfile.artifact import open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import Role

TWO = """(float[b, t, 64] x) => (float[b, t, 64] y) {
 n = Neg(x) h = MatMul(n, v) r = Relu(h) y = MatMul(r, w) }"""
AT_THE_INPUT = "(float[b, t, 64] x) => (float[b, t, 64] y) { y = MatMul(x, v) }"


@pytest.fixture(scope="module")
def interpreter() -> Path:
    """An interpreter that has neural-compressor; relative, as the default is."""
    path = Path(os.environ.get("VAMPBENCH_INC_PYTHON", ".venv-inc/bin/python"))
    path = Path(os.path.relpath(path.absolute()))
    try:
        inc.inc_version(path)
    except InputError as error:
        pytest.skip(str(error))
    return path


def source(folder: Path) -> Path:
    path = folder / "two.onnx"
    save_model(model(TWO, v=normal(64, 64, seed=1), w=normal(64, 64, seed=2)), path)
    return path


def feeds() -> FeedSet:
    """Inputs with an outlying channel, which SmoothQuant is about."""
    scale = np.ones(64, np.float32)
    scale[5] = 60.0
    given = tuple({"x": normal(1, 20, 64, seed=seed) * scale} for seed in range(4))
    labels = tuple(FeedLabel(clip=str(i)) for i in range(4))
    return FeedSet(Role.GENERIC, given, labels, audio="made", upstream="given")


def build(
    folder: Path, recipe: inc.Recipe, name: str, calibration: FeedSet | None = None
) -> Variant:
    artifact, given = open_artifact(source(folder)), calibration or feeds()
    return build_variant(artifact, recipe, folder / name / "two.onnx", calibration=given)


def error_of(folder: Path, variant: Variant) -> float:
    """Root mean square error over that of the signal, on inputs that nothing was calibrated on."""
    x = {"x": feeds().feeds[0]["x"][:, ::-1]}
    true = open_session(folder / "two.onnx").run(x)["y"]
    found = open_session(variant.path).run(x)["y"]
    return float(np.sqrt(np.square(found - true).mean() / np.square(true).mean()))


def test_a_missing_environment_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: no such file.*make env-inc.*--inc-python"):
        inc.int8_recipe("static", tmp_path / "none")
    empty = tmp_path / "python"
    empty.write_text("#!/bin/sh\nexit 1\n")
    empty.chmod(0o755)
    with pytest.raises(InputError, match="has no neural-compressor; run `make env-inc`"):
        inc.weights_recipe("4", "32", "gptq", empty)


def test_a_method_that_the_tool_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fitted: Neural Compressor has no such method"):
        inc.weights_recipe("4", "32", "fitted", tmp_path)


def test_nodes_are_counted_by_what_they_hold() -> None:
    made = model(
        """(float[1, 4] x, float[4, 4] u) => (float[1, 4] y) {
        q, s, z = DynamicQuantizeLinear(x) i = MatMulInteger(q, n, z) c = Cast<to = 1>(i)
        d = DequantizeLinear(q, s, z) e = DequantizeLinear(n, t) f = MatMul(d, e)
        g = MatMul(c, e) a = Softmax(g) b = Add(a, f) y = MatMul(b, u) }""",
        n=np.ones((4, 4), np.int8),
        t=np.array(1, np.float32),
    )
    found = inc.counted(made.graph)
    assert found.precision == {"int8": 2, "float32": 2}
    assert [node.op_type for node in found.float_nodes] == ["MatMul", "Softmax", "MatMul"]
    assert {node.reason for node in found.float_nodes} == {"Neural Compressor left it in float"}


def test_its_int8_promises_what_ours_does() -> None:
    assert promised_share("int8-static-neural-compressor-3.7.1-smoothquant") == 0.95
    assert promised_share("int4-weights-neural-compressor-3.7.1-rtn-32-sym") is None


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_int8_is_a_variant_like_any_other(tmp_path: Path, interpreter: Path, mode: str) -> None:
    made = build(tmp_path, inc.int8_recipe(mode, interpreter), mode)
    assert made.record.precision == {"int8": 2}
    assert made.record.recipe.startswith(f"int8-{mode}-neural-compressor-3")
    assert made.record.bytes < open_artifact(tmp_path / "two.onnx").bytes / 2
    assert 0 < error_of(tmp_path, made) < 0.3
    checked = with_runtime(open_artifact(made.path), made.record, {"x": (1, 20, 64)})
    assert checked.runtime is not None and checked.runtime.integer_share == 1.0
    assert missed_promise(checked) is None


def test_smoothquant_halves_the_error_of_an_outlying_channel(
    tmp_path: Path, interpreter: Path
) -> None:
    static = build(tmp_path, inc.int8_recipe("static", interpreter), "static")
    smooth = build(tmp_path, inc.int8_recipe("smoothquant", interpreter), "smooth")
    assert smooth.record.recipe.endswith("-smoothquant")
    assert error_of(tmp_path, smooth) < error_of(tmp_path, static) / 2


@pytest.mark.parametrize("method", ["symmetric", "asymmetric", "gptq", "awq"])
def test_four_bits_by_each_method(tmp_path: Path, interpreter: Path, method: str) -> None:
    made = build(tmp_path, inc.weights_recipe("4", "32", method, interpreter), method)
    assert made.record.precision == {"int4": 2}
    assert 0 < error_of(tmp_path, made) < 0.2


def test_weights_that_it_rounds_without_packing_are_no_variant(
    tmp_path: Path, interpreter: Path
) -> None:
    with pytest.raises(NotApplicable, match="packed no integers"):
        build(tmp_path, inc.weights_recipe("8", "32", "symmetric", interpreter), "eight")
    assert not (tmp_path / "eight" / "two.onnx").exists()


def test_its_own_error_is_told(tmp_path: Path, interpreter: Path) -> None:
    save_model(model(AT_THE_INPUT, v=normal(64, 64)), tmp_path / "one.onnx")
    recipe = inc.weights_recipe("4", "32", "awq", interpreter)
    with pytest.raises(PromiseMissed, match="neural-compressor failed: KeyError: 'x'"):
        build_variant(
            open_artifact(tmp_path / "one.onnx"), recipe, tmp_path / "o.onnx", calibration=feeds()
        )


def test_its_own_files_never_reach_the_current_folder(tmp_path: Path, interpreter: Path) -> None:
    save_model(model(TWO, v=normal(64, 64), w=normal(64, 64)), tmp_path / "two.onnx")
    feeds().save_npz(tmp_path / "feeds.npz")
    here = tmp_path / "here"
    here.mkdir()
    files = ["../two.onnx", "../feeds.npz", "../out.onnx"]
    command = [str(interpreter.absolute()), "-P", inc_script.__file__, *files, "static"]
    subprocess.run(command, cwd=here, check=True, capture_output=True)
    assert (tmp_path / "out.onnx").is_file()
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("method", ["smoothquant", "awq"])
def test_what_takes_one_length_says_which_feeds_it_leaves_out(
    tmp_path: Path, interpreter: Path, method: str
) -> None:
    mixed = tuple({"x": feed["x"][:, : 20 - 10 * (i == 1)]} for i, feed in enumerate(feeds().feeds))
    if method == "awq":
        recipe = inc.weights_recipe("4", "32", method, interpreter)
    else:
        recipe = inc.int8_recipe(method, interpreter)
    made = build(tmp_path, recipe, method, replace(feeds(), feeds=mixed))
    assert made.record.precision in ({"int8": 2}, {"int4": 2})
    (said,) = made.record.warnings
    assert said.endswith("takes feeds of one length alone: 3 of 4 were used")
