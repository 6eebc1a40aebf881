"""The operator library, built by the real compiler; skipped where there is none."""

import hashlib
import os
import pwd
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optimize.fusions.codec import native_snake, snake
from optimize.fusions.codec.snake import Bytes
from optimize.fusions.rule import apply
from optimize.surgery.graph import infer_shapes
from tests.optimize.graphs import model, normal, ops
from vampnet_models.errors import InputError
from vampnet_models.native import library
from vampnet_models.native.library import _CACHE_VARIABLE, build_library, compiler
from vampnet_models.onnxfile.artifact import save_model
from vampnet_models.onnxfile.portable import name_portable, stand_in
from vampnet_models.onnxfile.session import open_session

CHANNELS = 5
SNAKE = """(float[b, 5, n] x) => (float[b, 5, n] y) {
 a = Mul(alpha, x) s = Sin(a) q = Mul(s, s) z = Mul(inverse, q) y = Add(x, z) }"""
ALPHA = np.abs(normal(1, CHANNELS, 1, seed=2)) + np.float32(0.2)
X = 3 * normal(2, CHANNELS, 40_003)
TRUTH = X + np.sin(ALPHA.astype(np.float64) * X) ** 2 / ALPHA

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")
pytestmark = pytest.mark.usefixtures("native_cache")


def snakes() -> ir.Model:
    made = model(SNAKE, alpha=ALPHA, inverse=1 / ALPHA)
    infer_shapes(made)
    return made


def fused() -> ir.Model:
    made = snakes()
    counts, left = apply(native_snake.RULE, made.graph)
    assert (counts, left) == (1, [])
    assert ops(made) == {"Snake": 1}
    return made


def output(path: Path, x: np.ndarray = X) -> np.ndarray:
    return open_session(path, threads=2).run({"x": x})["y"]


@needs_compiler
def test_snake_is_exact_in_float32_at_any_length(tmp_path: Path) -> None:
    build_library()
    save_model(fused(), tmp_path / "m.onnx")
    assert np.abs(output(tmp_path / "m.onnx") - TRUTH).max() < 3e-6
    assert output(tmp_path / "m.onnx", X[:1, :, :7]).shape == (1, CHANNELS, 7)


@needs_compiler
@pytest.mark.parametrize("is_loaded", [False, True])
def test_quantized_snakes_round_as_the_operators_apart_do(tmp_path: Path, is_loaded: bool) -> None:
    build_library()
    made = snakes()
    (sine,) = snake.candidates(made.graph)
    found = snake.match(sine)
    steps = np.linspace(0.02, 0.06, CHANNELS).astype(np.float32)
    stored = Bytes(None if is_loaded else steps, 90)
    before = found.output.producer()
    assert before is not None
    value = native_snake.insert_native_snake(
        before, found.x, ALPHA, 1 / ALPHA, "s", Bytes(None, 100) if is_loaded else None, stored
    )
    made.graph.outputs[0] = value
    value.name = "y"
    x = X
    if is_loaded:
        made.graph.inputs[0].type = ir.TensorType(ir.DataType.UINT8)
        x = np.random.default_rng(0).integers(0, 256, X.shape, dtype=np.uint8)
    ir.passes.common.RemoveUnusedNodesPass()(made)
    save_model(made, tmp_path / "m.onnx")
    got = output(tmp_path / "m.onnx", x).astype(int)
    real = x.astype(np.float64) - 100 if is_loaded else x
    truth = real + np.sin(ALPHA.astype(np.float64) * real) ** 2 / ALPHA
    units = 1.0 if is_loaded else steps.reshape(1, -1, 1)
    expected = np.clip(np.rint(truth / units) + 90, 0, 255).astype(int)
    assert got.min() == 0
    assert np.abs(got - expected).max() <= 1
    assert (got != expected).mean() < 1e-4


@needs_compiler
def test_dequantized_branches_are_added_in_one_pass(tmp_path: Path) -> None:
    build_library()
    steps = np.linspace(0.02, 0.06, CHANNELS).astype(np.float32)
    made = model(
        """(float[b, 5, n] x, uint8[b, 5, n] q) => (float[b, 5, n] y) {
         r = DequantizeLinear <axis = 1> (q, steps, zeros) y = Add(r, x) }""",
        steps=steps,
        zeros=np.full(CHANNELS, 7, np.uint8),
    )
    infer_shapes(made)
    assert native_snake.add_dequantized(made.graph) == 1
    assert ops(made) == {"DequantizeAdd": 1}
    save_model(made, tmp_path / "m.onnx")
    q = np.random.default_rng(0).integers(0, 256, X.shape, dtype=np.uint8)
    got = open_session(tmp_path / "m.onnx").run({"x": X, "q": q})["y"]
    np.testing.assert_allclose(got, X + (q.astype(int) - 7) * steps.reshape(1, -1, 1), atol=2e-6)


def test_without_the_library_the_portable_model_is_opened_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "empty"))
    portable, path = tmp_path / "portable.onnx", tmp_path / "m.onnx"
    save_model(snakes(), portable)
    made = fused()
    name_portable(made, portable)
    save_model(made, path)
    assert np.abs(output(path) - TRUTH).max() < 1e-5
    assert "without the operator library" in capsys.readouterr().err
    assert stand_in(path) == portable
    assert stand_in(portable) is None
    with pytest.raises(InputError, match="the operator library that it needs is not here"):
        open_session(path, portable_instead=False)


@needs_compiler
def test_of_a_model_for_a_newer_library_the_portable_one_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_library()
    portable, path = tmp_path / "portable.onnx", tmp_path / "m.onnx"
    save_model(snakes(), portable)
    made = fused()
    made.graph.node(0).op_type = "SnakeOfTomorrow"
    name_portable(made, portable)
    save_model(made, path)
    assert np.abs(output(path) - TRUTH).max() < 1e-5
    (line,) = capsys.readouterr().err.splitlines()
    assert "lacks an operator: update vampnet-workbench): portable.onnx is opened" in line
    with pytest.raises(InputError, match="is not here; the one here lacks an operator"):
        open_session(path, portable_instead=False)


def test_a_portable_model_that_cannot_stand_in_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "empty"))
    portable, path = tmp_path / "portable.onnx", tmp_path / "m.onnx"
    save_model(fused(), path)
    with pytest.raises(InputError, match=r"m\.onnx: .* names no portable model"):
        open_session(path)
    save_model(snakes(), portable)
    made = fused()
    name_portable(made, portable)
    save_model(made, path)
    whole = portable.read_bytes()
    portable.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"portable\.onnx: not a readable ONNX model"):
        open_session(path)
    save_model(model(SNAKE, alpha=2 * ALPHA, inverse=1 / ALPHA), portable)
    with pytest.raises(InputError, match=r"portable\.onnx: is not the portable .* with m\.onnx"):
        open_session(path)
    portable.unlink()
    with pytest.raises(InputError, match=r"portable\.onnx: is missing: copy it beside m\.onnx"):
        open_session(path)


def planted(folder: Path, content: bytes = b"no library", *, recorded: bool = True) -> Path:
    """A file in the library's place, with a record of its hash."""
    path = library.library_path()
    assert path is not None and path.parent == folder
    path.write_bytes(content)
    path.chmod(0o755)
    if recorded:
        record = path.with_name(f"{path.name}.sha256")
        record.write_text(hashlib.sha256(content).hexdigest())
    return path


def test_a_library_that_does_not_load_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path))
    planted(tmp_path)
    save_model(fused(), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="is no operator library that loads here; delete it"):
        open_session(tmp_path / "m.onnx")


def test_only_what_the_build_wrote_down_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path))
    assert library.built_library() is None
    path = planted(tmp_path, recorded=False)
    assert library.built_library() is None
    planted(tmp_path)
    assert library.built_library() == path
    path.write_bytes(b"another")
    assert library.built_library() is None
    planted(tmp_path)
    path.chmod(0o775)
    assert library.built_library() is None
    elsewhere = path.rename(tmp_path / "elsewhere")
    elsewhere.chmod(0o755)
    path.symlink_to(elsewhere)
    assert library.built_library() is None


def test_a_folder_that_others_may_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above, folder = tmp_path / "above", tmp_path / "above" / "cache"
    folder.mkdir(parents=True)
    monkeypatch.setenv(_CACHE_VARIABLE, str(folder))
    path = planted(folder)
    assert library.built_library() == path and library.how() == library.HOW
    for each, mode in ((folder, 0o770), (folder, 0o1777), (above, 0o777)):
        before = each.stat().st_mode
        each.chmod(mode)
        assert library.built_library() is None
        assert f"others may write to {each}: run `chmod go-w {each}`" in library.how()
        with pytest.raises(InputError, match="is not built: others may write to"):
            build_library()
        each.chmod(before)
    above.chmod(0o1777)
    assert library.built_library() == path
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert library.built_library() is None
    assert "belongs to another user" in library.how()
    link = tmp_path / "link"
    link.symlink_to(folder)
    monkeypatch.undo()
    monkeypatch.setenv(_CACHE_VARIABLE, str(link))
    assert library.built_library() == path


def test_garbage_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = tmp_path / "compiler"
    quick.write_text("#!/bin/sh\nwhile [ $1 != -o ]; do shift; done\nprintf made > $2\n")
    quick.chmod(0o755)
    monkeypatch.setenv("CXX", str(quick))
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "a" / "b"))
    before = os.umask(0o002)
    try:
        path = build_library()
    finally:
        os.umask(before)
    assert build_library() == library.built_library() == path
    path.write_bytes(b"garbage")
    assert library.built_library() is None
    assert build_library() == path
    assert path.read_text() == "made"


@pytest.mark.parametrize("home", [None, "relative"])
def test_without_a_home_the_portable_model_is_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    home: str | None,
) -> None:
    for name in (_CACHE_VARIABLE, "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is None:

        def getpwuid(_user: int) -> None:
            raise KeyError("no entry")

        monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    else:
        monkeypatch.setenv("HOME", home)
    portable, path = tmp_path / "portable.onnx", tmp_path / "m.onnx"
    save_model(snakes(), portable)
    made = fused()
    name_portable(made, portable)
    save_model(made, path)
    assert np.abs(output(path) - TRUTH).max() < 1e-5
    assert f"set HOME, or name a folder in {_CACHE_VARIABLE}" in capsys.readouterr().err
    with pytest.raises(InputError, match="there is no folder for the operator library"):
        build_library()


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    assert library.built_library() is None
    with pytest.raises(InputError, match=r"no C\+\+ compiler|cannot be written"):
        build_library()


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    with pytest.raises(InputError, match="no C\\+\\+ compiler"):
        build_library()
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(InputError, match=r"cannot build the operators: exit code 1"):
        build_library()
    assert list(tmp_path.iterdir()) == []
