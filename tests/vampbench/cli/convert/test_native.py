"""`--native`: two models per name, and a library that the sessions find by themselves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vampbench as vb
from profiles.host import describe_host
from tests.vampbench.conftest import Finished
from vampnet_models.native.library import _CACHE_VARIABLE, compiler
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import open_session

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler (g++) is here")


def test_a_native_variant_lies_beside_its_portable_one(
    vampbench: Callable[..., Finished],
    small_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "cache"))
    built = vampbench("native", "--json").result
    assert built["built"] and Path(built["library"]).is_file()
    flags = describe_host().flags
    assert (built["kernels"]["int8"] == "avx512-vnni") == ("avx512_vnni" in flags)
    fast = "avx512_bf16" in flags and "Intel" not in describe_host().cpu
    assert (built["kernels"]["bfloat16"] == "avx512-bf16") == fast
    assert (built["kernels"]["float32"] == "avx512") == ("avx512f" in flags)
    assert not vampbench("native", "--json").result["built"]
    source, out = small_models / "codec_decoder.onnx", tmp_path / "decoder.onnx"
    done = vampbench("fuse", source, "-o", out, "--native", "--json")
    assert done.code == 0, done.stderr
    portable, native = done.result["variants"]
    assert (portable["custom_operators"], portable["portable"]) == ([], None)
    assert (native["custom_operators"], native["portable"]) == (["Convolution"], "decoder.onnx")
    assert native["fusions"]["native_snake"] == portable["fusions"]["snake"]
    assert native["path"] == str(tmp_path / "decoder.native.onnx")
    again = vb.build(source, "fused", output=out, native=True)
    assert again.reused and again.native is not None
    assert again.native.path == Path(native["path"])
    codes = np.random.default_rng(0).integers(0, 1024, (1, 14, 9))
    expected = open_session(source).run({"codes": codes})["audio"]
    found = open_session(Path(native["path"])).run({"codes": codes})["audio"]
    np.testing.assert_allclose(found, expected, atol=1e-4)

    twice = vampbench("native")
    assert "was there already" in twice.stdout and twice.stderr == ""
    lost = vampbench("fp16", native["path"], "-o", tmp_path / "again.onnx")
    assert (lost.code, len(lost.lines)) == (2, 1)
    assert "would lose its portable model; convert codec_decoder.onnx" in lost.lines[0]
    fixed = vampbench("make-static", native["path"], "-o", tmp_path / "fixed.onnx")
    assert fixed.code == 2 and fixed.stderr.endswith("convert codec_decoder.onnx\n")
    assert not list(tmp_path.glob("again*")) and not list(tmp_path.glob("fixed*"))


def test_verify_says_in_json_that_the_portable_model_was_judged(
    vampbench: Callable[..., Finished],
    tiny: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "cache"))
    source, out = tiny / "codec_encoder.onnx", tmp_path / "encoder.onnx"
    assert vampbench("fuse", source, "-o", out, "--native").code == 0
    command = ("verify", source, tmp_path / "encoder.native.onnx", "--audio", recordings, "--json")
    here = vampbench(*command).result
    assert here["opened_instead"] == {"reference": None, "variant": None}
    monkeypatch.setenv(_CACHE_VARIABLE, str(tmp_path / "empty"))
    there = vampbench(*command).result
    assert there["opened_instead"] == {"reference": None, "variant": str(out)}


def test_left_in_float_are_the_operators_that_the_graph_has(
    vampbench: Callable[..., Finished], tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "coarse.onnx"
    command = ("int8", tiny / "coarse.onnx", "--mode", "dynamic", "--native", "-o", out, "--json")
    for made in vampbench(*command).result["variants"]:
        operators = {n.name: n.op_type for n in load_model(Path(made["path"])).graph}
        left = {n["node"]: n["op_type"] for n in made["float_nodes"]}
        assert left.items() <= operators.items()
        assert any("Attention" in each for each in left.values())


def test_the_native_name_is_no_output(
    vampbench: Callable[..., Finished], tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.native.onnx"
    done = vampbench("fuse", tiny / "coarse.onnx", "--native", "-o", out)
    assert (done.code, len(done.lines)) == (2, 1)
    assert "give x.onnx or another name" in done.lines[0]
    assert list(tmp_path.iterdir()) == []


def test_another_backend_has_no_native_form(
    vampbench: Callable[..., Finished], small_models: Path, tmp_path: Path
) -> None:
    source = small_models / "codec_decoder.onnx"
    done = vampbench("fuse", source, "--backend", "onnxruntime", "--native", "-o", tmp_path)
    assert done.code == 2
    assert "--native: not of --backend onnxruntime" in done.stderr
    assert list(tmp_path.iterdir()) == []
