"""Choices of `fp16`, `int8` and `fuse` that do not go together, and what the others say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.tiny_graphs import product, tensor, write
from tests.vampbench.conftest import Finished

Command = Callable[..., Finished]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(0)
    np.savez(folder / "f.npz", **{f"x/{i}": rng.standard_normal((4, 64), "f4") for i in range(4)})
    return product(folder / "m.onnx")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fp16", "m.onnx", "--feeds", "f.npz"), "FP16 alone calibrates nothing; add --measure or"),
        (("fp16", ".", "--measure"), "is a folder; ranges, nodes and --emulate are of one model"),
        (("fp16", "m.onnx", "--measure", "--ranges", "r.json"), "measured before; leave out"),
        (("int8", "m.onnx", "--mode", "smoothquant"), "a mode of --backend neural-compressor"),
        (
            ("int8", "m.onnx", "--mode", "dynamic", "--observer", "mse"),
            "--observer: --mode dynamic calibrates nothing; leave it out",
        ),
        (
            ("int8", "m.onnx", "--backend", "neural-compressor", "--activations", "s8"),
            "--activations: Neural Compressor calibrates its own way; leave it out",
        ),
        (
            ("int8", "m.onnx", "--native", "--observer", "mse"),
            "u8 activations and plain biases; leave --observer, --activations",
        ),
        (("int8", "m.onnx", "--native", "--tables"), "leaves tables in float; leave --tables"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    model: Path, tmp_path: Path, vampbench: Command, words: tuple[str, ...], said: str
) -> None:
    given = [model.parent / w if w in ("m.onnx", "f.npz", ".") else w for w in words]
    done = vampbench(*given, "-o", tmp_path / "v.onnx")
    assert done.code == 2 and said in done.errors[0] and len(done.lines) == 1
    assert not (tmp_path / "v.onnx").exists()


def two_products(path: Path, scale: float = 1.0) -> Path:
    """`y = (x w) w`: between the two lies a tensor that can be measured."""
    weights = {"w": (scale * np.eye(64)).astype(np.float32)}
    nodes = [helper.make_node("MatMul", [a, "w"], [b], name=b) for a, b in ("xh", "hy")]
    return write(path, nodes, [tensor("x", ["n", 64])], [tensor("y", ["n", 64])], weights)


def test_ranges_are_kept_and_used_again(model: Path, tmp_path: Path, vampbench: Command) -> None:
    ranges, feeds = tmp_path / "r.json", model.parent / "f.npz"
    model = two_products(tmp_path / "m.onnx")
    fed = ("--feeds", feeds, "--save-ranges", ranges)
    first = vampbench("fp16", model, *fed, "-o", tmp_path / "a.onnx")
    assert first.code == 0, first.stderr
    with np.load(feeds) as held:
        values = np.concatenate([held[name] for name in held.files])
    found = json.loads(ranges.read_text())["ranges"]
    assert found == {"h": pytest.approx([values.min(), values.max()])}
    assert f"{ranges}  1 ranges" in first.stdout
    ranges.unlink()
    assert vampbench("fp16", model, *fed, "-o", tmp_path / "a.onnx").code == 0
    assert json.loads(ranges.read_text())["ranges"] == found
    again = vampbench("fp16", model, "--ranges", ranges, "-o", tmp_path / "b.onnx")
    assert again.code == 0, again.stderr
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    other = two_products(tmp_path / "other.onnx", 2.0)
    refused = vampbench("fp16", other, "--ranges", ranges, "-o", tmp_path / "c.onnx")
    assert refused.code == 2 and not (tmp_path / "c.onnx").exists()


def test_fuse_explains_what_it_left(tmp_path: Path, vampbench: Command) -> None:
    """A sine squared whose scale is an input is no Snake: its weight must be a constant."""
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["s"]),
        helper.make_node("Sin", ["s"], ["t"]),
        helper.make_node("Mul", ["t", "t"], ["u"]),
        helper.make_node("Mul", ["u", "b"], ["v"]),
        helper.make_node("Add", ["x", "v"], ["y"], name="sum"),
    ]
    weights = {"b": np.ones((1, 4, 1), np.float32)}
    inputs = [tensor("x", [1, 4, "n"]), tensor("a", [1, 4, 1])]
    path = write(tmp_path / "m.onnx", nodes, inputs, [tensor("y", [1, 4, "n"])], weights)
    done = vampbench("fuse", path, "-o", tmp_path / "v.onnx", "--explain")
    assert done.code == 0 and "  fused: nothing" in done.stdout
    assert "  not fused: snake at node_1: Mul node has no constant operand" in done.stdout


def test_make_static_tells_the_only_shape(tiny: Path, tmp_path: Path, vampbench: Command) -> None:
    out = tmp_path / "coarse.onnx"
    done = vampbench("make-static", tiny / "coarse.onnx", "--frames", 9, "-o", out)
    assert done.code == 0 and "takes codes [1, 4, 9], mask [1, 4, 9] alone" in done.stdout


def test_a_model_without_tensors_between_its_nodes_has_a_file_without_ranges(
    model: Path, tmp_path: Path, vampbench: Command
) -> None:
    ranges = tmp_path / "r.json"
    fed = ("--feeds", model.parent / "f.npz", "--save-ranges", ranges)
    done = vampbench("fp16", model, *fed, "-o", tmp_path / "a.onnx")
    assert done.code == 0 and f"{ranges}  0 ranges" in done.stdout
    assert vampbench("fp16", model, "--ranges", ranges, "-o", tmp_path / "b.onnx").code == 0
