"""What Neural Compressor is handed and what is taken over of its answer; none of it needs the tool.

A shell script stands in for the interpreter that has it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.feeds.feedset import FeedLabel, FeedSet
from optimize.backends import inc, inc_script
from optimize.backends.inc_script import of_one_length, read_feeds, settings
from optimize.build import build_variant
from tests.optimize.graphs import model, normal
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import open_artifact, save_model
from vampnet_models.spec import Role

LINEAR = "(float[n, 64] x) => (float[n, 64] y) { y = MatMul(x, w) }"
BYTES = """(float[n, 64] x) => (float[n, 64] y) {
 d = DequantizeLinear(q, s) i = QuantizeLinear(x, t, z) h = DequantizeLinear(i, t, z)
 y = MatMul(h, d) }"""


def feeds(*lengths: int) -> FeedSet:
    given = tuple({"x": normal(n, 64, seed=n)} for n in lengths)
    labels = tuple(FeedLabel(clip=str(i)) for i, _ in enumerate(lengths))
    return FeedSet(Role.GENERIC, given, labels, audio="made", upstream="given")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A product, and beside it what the tool makes of it: one of 8 bits."""
    weight = normal(64, 64)
    scale = np.float32(np.abs(weight).max() / 127)
    save_model(model(LINEAR, w=weight), tmp_path / "m.onnx")
    packed = np.round(weight / scale).astype(np.int8)
    step = {"t": np.float32(0.03), "z": np.uint8(128)}
    save_model(model(BYTES, q=packed, s=scale, **step), tmp_path / "made.onnx")
    return tmp_path / "m.onnx"


def interpreter(folder: Path, lines: str) -> Path:
    """Says its version, and otherwise does these lines: $3 the model, $4 feeds, $5 the output."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\n[ "$2" = -c ] && echo 3.9 && exit\nshift; {lines}\n')
    script.chmod(0o755)
    return script


def test_the_graph_that_it_made_is_the_variant_and_its_warnings_are_kept(
    tmp_path: Path, source: Path
) -> None:
    lines = f"""cp {tmp_path}/made.onnx "$4"; cp "$3" {tmp_path}/feeds.npz; echo "$@" > \
{tmp_path}/asked; echo noise; echo "warning: 1 of 2 were used" """
    recipe = inc.int8_recipe("smoothquant", interpreter(tmp_path, lines))
    given = feeds(5, 3)
    made = build_variant(open_artifact(source), recipe, tmp_path / "o.onnx", calibration=given)
    assert made.record.recipe == "int8-static-neural-compressor-3.9-smoothquant"
    assert made.record.precision == {"int8": 1}
    assert made.record.warnings == ("1 of 2 were used",)
    assert (tmp_path / "asked").read_text().endswith("smoothquant\n")
    handed = read_feeds(tmp_path / "feeds.npz")
    for ours, theirs in zip(given.feeds, handed, strict=True):
        np.testing.assert_array_equal(ours["x"], theirs["x"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo first >&2; echo ValueError: odd >&2; exit 1", "ValueError: odd"),
        ("true", "neural-compressor failed: "),
    ],
)
def test_what_it_says_where_it_fails_is_told(
    tmp_path: Path, source: Path, lines: str, said: str
) -> None:
    recipe = inc.weights_recipe("4", "channel", "asymmetric", interpreter(tmp_path, lines))
    assert recipe.name == "int4-weights-neural-compressor-3.9-rtn-channel-asym"
    with pytest.raises(PromiseMissed, match=said):
        build_variant(open_artifact(source), recipe, tmp_path / "o.onnx")
    assert not (tmp_path / "o.onnx").exists()


def test_feeds_are_read_in_their_order(tmp_path: Path) -> None:
    arrays = {f"{name}/{i}": np.array([i]) for i in (10, 2, 0) for name in ("x", "a/b")}
    np.savez(tmp_path / "feeds.npz", allow_pickle=False, **arrays)
    found = read_feeds(tmp_path / "feeds.npz")
    assert [feed["x"].item() for feed in found] == [0, 2, 10]
    assert all(feed.keys() == {"x", "a/b"} for feed in found)


@pytest.mark.parametrize(
    ("lengths", "kept"), [((5, 3, 5), [5, 5]), ((3, 5), [5]), ((3, 5, 3, 5), [5, 5]), ((4,), [4])]
)
def test_the_feeds_of_the_most_common_length_remain(
    lengths: tuple[int, ...], kept: list[int]
) -> None:
    assert [len(feed["x"]) for feed in of_one_length(list(feeds(*lengths).feeds))] == kept


def test_each_method_has_its_settings() -> None:
    dynamic, static = settings("dynamic"), settings("static", 7)
    smooth, four = settings("smoothquant", 7), settings("gptq", 0, 4, -1, "asym")
    assert dynamic["approach"] == "dynamic" and "recipes" not in dynamic
    assert (static["approach"], static["quant_format"]) == ("static", "QDQ")
    assert static["calibration_sampling_size"] == 7
    assert static["recipes"] == {"optypes_to_exclude_output_quant": ["MatMul", "Gemm", "Conv"]}
    assert smooth["recipes"] == {
        **static["recipes"],
        "smooth_quant": True,
        "smooth_quant_args": {"alpha": 0.5},
    }
    assert four["approach"] == "weight_only" and four["calibration_sampling_size"] == 1
    assert four["op_type_dict"] == {
        ".*": {
            "weight": {"bits": 4, "group_size": -1, "scheme": "asym", "algorithm": "GPTQ"},
        }
    }


def test_what_needs_feeds_says_so(tmp_path: Path, source: Path) -> None:
    recipe = inc.int8_recipe("static", interpreter(tmp_path, "true"))
    with pytest.raises(InputError, match="needs data to calibrate on"):
        build_variant(open_artifact(source), recipe, tmp_path / "o.onnx")


TOOL = """
import json, os, shutil
class PostTrainingQuantConfig:
    def __init__(self, **given):
        self.given = given
class Made:
    def __init__(self, model):
        self.model = model
    def save(self, out):
        shutil.copy(self.model, out)
class quantization:
    @staticmethod
    def fit(model, conf, calib_dataloader):
        if conf.given["approach"] == "dynamic":
            return None
        fed = None if calib_dataloader is None else [len(x["x"]) for x, _ in calib_dataloader]
        n = None if fed is None else len(calib_dataloader)
        told = {"fed": fed, "n": n, "batch": getattr(calib_dataloader, "batch_size", None)}
        with open(os.path.join(os.path.dirname(model), "told.json"), "w") as file:
            json.dump(told | {"here": os.getcwd(), "given": conf.given}, file)
        open("workspace", "w").close()
        return Made(model)
"""
"""A stand-in for the tool's package, which says what it was called with."""


@pytest.mark.parametrize(
    ("method", "fed", "said"),
    [
        ("awq", [5, 5], "warning: AWQ of Neural Compressor takes feeds of one length alone: 2 of"),
        ("static", [5, 3, 5], ""),
        ("rtn", None, ""),
    ],
)
def test_the_script_feeds_the_tool_and_keeps_its_files_away(
    tmp_path: Path, method: str, fed: list[int] | None, said: str
) -> None:
    done, told = scripted(tmp_path, method, (5, 3, 5) if fed else ())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(said) and bool(said) == bool(done.stdout)
    assert (told["fed"], told["n"]) == (fed, None if fed is None else len(fed))
    assert told["batch"] == (None if fed is None else 1)
    assert told["given"] == settings(method, len(fed or ()))
    assert not Path(told["here"]).exists()
    assert (tmp_path / "out.onnx").read_text() == "a model"


def test_a_tool_that_gives_nothing_is_an_error(tmp_path: Path) -> None:
    done, _ = scripted(tmp_path, "dynamic", ())
    assert (done.returncode, done.stderr) == (1, "neural-compressor gave no model\n")
    assert not (tmp_path / "out.onnx").exists()


def scripted(
    folder: Path, method: str, lengths: tuple[int, ...]
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """How the script ended with the stand-in, and what that was called with."""
    package = folder / "packages" / "neural_compressor"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(TOOL)
    (folder / "m.onnx").write_text("a model")
    if lengths:
        arrays = {f"x/{i}": feed["x"] for i, feed in enumerate(feeds(*lengths).feeds)}
        np.savez(folder / "feeds.npz", allow_pickle=False, **arrays)
    files = [str(folder / name) for name in ("m.onnx", "feeds.npz", "out.onnx")]
    done = subprocess.run(
        [sys.executable, "-P", inc_script.__file__, *files, method],
        env=os.environ | {"PYTHONPATH": str(folder / "packages")},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    path = folder / "told.json"
    return done, json.loads(path.read_text()) if path.is_file() else {}
