"""`--native`: two models per name, and a library that the sessions find by themselves."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.workbench.conftest import Finished
from vampnet_models.native import CACHE_VARIABLE, compiler
from vampnet_models.session import open_session

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")


def test_a_native_variant_lies_beside_its_portable_one(
    vampbench: Callable[..., Finished],
    small_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    built = json.loads(vampbench("native", "--json").stdout)
    assert built["built"] and Path(built["library"]).is_file()
    assert not json.loads(vampbench("native", "--json").stdout)["built"]
    source, out = small_models / "codec_decoder.onnx", tmp_path / "decoder.onnx"
    done = vampbench("fuse", source, "-o", out, "--native", "--json")
    assert done.code == 0, done.stderr
    portable, native = json.loads(done.stdout)["variants"]
    assert (portable["custom_operators"], portable["portable"]) == ([], None)
    assert (native["custom_operators"], native["portable"]) == (["Snake"], "decoder.onnx")
    assert native["fusions"]["native_snake"] == portable["fusions"]["snake"]
    assert native["path"] == str(tmp_path / "decoder.native.onnx")
    codes = np.random.default_rng(0).integers(0, 1024, (1, 14, 9))
    expected = open_session(source).run({"codes": codes})["audio"]
    found = open_session(Path(native["path"])).run({"codes": codes})["audio"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_another_backend_has_no_native_form(
    vampbench: Callable[..., Finished], small_models: Path, tmp_path: Path
) -> None:
    source = small_models / "codec_decoder.onnx"
    done = vampbench("fuse", source, "--backend", "onnxruntime", "--native", "-o", tmp_path)
    assert done.code == 2
    assert "--native: not of --backend onnxruntime" in done.stderr
    assert list(tmp_path.iterdir()) == []
