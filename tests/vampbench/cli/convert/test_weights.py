"""`weights`: each choice makes the file that it names, and what cannot be is refused in a line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_graphs import product
from tests.vampbench.conftest import Finished
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import open_session

Command = Callable[..., Finished]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MatMul by a weight of 256 x 256 float32: 262,144 bytes."""
    return product(tmp_path_factory.mktemp("model") / "m.onnx", width=256)


def error_db(model: Path, variant: Path) -> float:
    """How far a variant's answers are from its source's."""
    x = np.random.default_rng(1).standard_normal((8, 256), np.float32)
    (expected,), (found,) = (open_session(p).run({"x": x}).values() for p in (model, variant))
    return float(10 * np.log10(np.square(expected - found).mean() / np.square(expected).mean()))


@pytest.mark.parametrize(
    ("choice", "most_bytes", "most_db"),
    [
        ((), 80_000, -40.0),
        (("--block", "channel"), 70_000, -35.0),
        (("--bits", "4", "--block", "128"), 38_000, -15.0),
        (("--bits", "4", "--method", "asymmetric"), 46_000, -18.0),
        (("--bits", "4", "--method", "fitted"), 46_000, -18.0),
        (("--compute", "int8"), 80_000, -35.0),
    ],
)
def test_each_choice_halves_what_it_says(
    model: Path,
    tmp_path: Path,
    vampbench: Command,
    choice: tuple[str, ...],
    most_bytes: int,
    most_db: float,
) -> None:
    done = vampbench("weights", model, *choice, "-o", tmp_path / "v.onnx", "--json")
    assert done.code == 0, done.stderr
    (made,) = done.result["variants"]
    assert made["bytes"] < most_bytes
    assert -80 < error_db(model, tmp_path / "v.onnx") < most_db
    bits = 4 if "4" in choice else 8
    assert made["precision"] == {f"int{bits}": 1}


def test_gptq_takes_the_feeds_that_it_is_given(
    model: Path, tmp_path: Path, vampbench: Command
) -> None:
    rng = np.random.default_rng(0)
    few = rng.standard_normal((4, 256)).astype("f4")
    np.savez(tmp_path / "f.npz", x=(rng.standard_normal((512, 4)) @ few).astype("f4"))
    plain, fed = tmp_path / "plain.onnx", tmp_path / "fed.onnx"
    assert vampbench("weights", model, "--bits", "4", "-o", plain).code == 0
    gptq = ("--bits", "4", "--method", "gptq", "--feeds", tmp_path / "f.npz")
    done = vampbench("weights", model, *gptq, "-o", fed)
    assert done.code == 0, done.stderr
    x = np.load(tmp_path / "f.npz")["x"]
    right, ours, theirs = (open_session(p).run({"x": x})["y"] for p in (model, fed, plain))
    assert np.square(ours - right).mean() < 0.3 * np.square(theirs - right).mean()


def test_mixed_bits_keep_the_share_that_is_asked_for(
    model: Path, tmp_path: Path, vampbench: Command
) -> None:
    x = np.random.default_rng(0).standard_normal((512, 256)).astype("f4")
    np.savez(tmp_path / "f.npz", x=x)
    errors = []
    for share in ("0.18", "0.3"):
        made = tmp_path / f"{share}.onnx"
        chosen = ("--bits", "mixed", "--share", share, "--feeds", tmp_path / "f.npz")
        done = vampbench("weights", model, *chosen, "-o", made)
        assert done.code == 0, done.stderr
        assert made.stat().st_size <= float(share) * model.stat().st_size
        errors.append(error_db(model, made))
    assert errors[1] < errors[0] - 10


def test_a_share_that_cannot_be_kept_is_a_missed_promise(
    model: Path, tmp_path: Path, vampbench: Command
) -> None:
    x = np.random.default_rng(0).standard_normal((64, 256)).astype("f4")
    np.savez(tmp_path / "f.npz", x=x)
    out = tmp_path / "m.onnx"
    chosen = ("--bits", "mixed", "--share", "0.05", "--feeds", tmp_path / "f.npz")
    done = vampbench("weights", model, *chosen, "-o", out)
    assert (done.code, out.exists()) == (1, True)
    assert "of the source's bytes, not 5%: what is left in other bits takes the rest" in done.stderr


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (
            ("--bits", "4", "--share", "0.2"),
            "--share: not of --bits 4, whose size is given; add --bits mixed",
        ),
        (
            ("--bits", "mixed", "--method", "gptq"),
            "mixed: chooses by itself; leave out --block, --method, --compute and --tables",
        ),
        (
            ("--bits", "mixed", "--backend", "neural-compressor"),
            "mixed: not of --backend neural-compressor; choose one of them",
        ),
        (("--method", "awq"), "awq: a method of --backend neural-compressor; ours is gptq"),
        (
            ("--backend", "neural-compressor", "--compute", "int8"),
            "int8: Neural Compressor's MatMuls compute in float; leave it out",
        ),
        (
            ("--backend", "neural-compressor", "--tables"),
            "--tables: not of --backend neural-compressor; choose one of them",
        ),
        (
            ("--feeds", Path(__file__)),
            "test_weights.py: int8-weights calibrates nothing; leave out --feeds",
        ),
    ],
)
def test_choices_that_do_not_go_together(
    model: Path, tmp_path: Path, vampbench: Command, choice: tuple[object, ...], said: str
) -> None:
    done = vampbench("weights", model, *choice, "-o", tmp_path / "v.onnx")
    assert (done.code, done.lines) == (2, [f"error: {said}"])
    assert not (tmp_path / "v.onnx").exists()


def test_neural_compressor_is_asked_with_what_was_chosen(
    model: Path, tmp_path: Path, vampbench: Command
) -> None:
    """Without Neural Compressor the interpreter says so, and nothing is written."""
    choice = ("--backend", "neural-compressor", "--inc-python", sys.executable)
    done = vampbench("weights", model, *choice, "-o", tmp_path / "v.onnx")
    assert done.code != 0 and len(done.errors) == 1
    assert not (tmp_path / "v.onnx").exists()


def test_tables_are_quantized_where_that_is_asked_for(
    tiny: Path, tmp_path: Path, vampbench: Command
) -> None:
    kept, taken = tmp_path / "kept.onnx", tmp_path / "taken.onnx"
    source = tiny / "coarse.onnx"
    assert vampbench("weights", source, "-o", kept).code == 0
    assert vampbench("weights", source, "--tables", "-o", taken).code == 0

    def floats(path: Path) -> int:
        values = load_model(path).graph.initializers.values()
        return sum(v.const_value.size for v in values if v.dtype.name == "FLOAT" and v.const_value)

    assert floats(taken) < 0.5 * floats(kept)
