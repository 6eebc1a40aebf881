"""`import` of small checkpoints: what it says of models, parameters and other files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.npz import grown
from tests.vampnet_models import small
from vampnet_models.records.npz import write_npz


@pytest.fixture
def checkpoints(tmp_path):
    """A codec, a coarse transformer, and a file that is neither."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    small.write_codec(folder / "codec.pth")
    small.write_transformer(folder / "coarse.pth", small.COARSE)
    (folder / "notes.txt").write_text("not a model")
    return folder


def test_every_model_and_parameter_is_told(vampbench, checkpoints, tmp_path):
    out = tmp_path / "models"
    done = vampbench("import", checkpoints, "-o", out, "--parameters")
    assert (done.code, done.errors) == (0, [])
    record = json.loads((out / "import.json").read_text())
    for name, source in (("codec_encoder", "codec.pth"), ("coarse", "coarse.pth + codec.pth")):
        (line,) = (s for s in done.stdout.splitlines() if s.startswith(f"{out / name}.onnx  "))
        assert line.endswith(f"parameters, from {source}")
    held = sum(each["n_parameters"] for each in record["models"])
    used = sum(each["parameters"]["used"] for each in record["accounts"])
    assert f"{held - used:,} parameters stand more than once: codebooks " in done.stdout
    (ignored,) = (s for s in done.stdout.splitlines() if s.startswith("ignored: "))
    assert ignored.startswith("ignored: notes.txt: ")
    assert "codebook.weight" in done.stdout
    assert f"record   {out / 'import.json'}" in done.stdout
    answer = vampbench("import", checkpoints, "-o", tmp_path / "again", "--json")
    models = [each["role"] for each in answer.result["models"]]
    assert models == [each["role"] for each in record["models"]]
    assert "codebook.weight" not in answer.stderr


def test_models_that_had_been_there_are_told(vampbench, checkpoints, tmp_path):
    out = tmp_path / "models"
    first = vampbench("import", checkpoints, "-o", out, "--json")
    (out / "other.onnx").write_bytes((out / "coarse.onnx").read_bytes())
    again = vampbench("import", checkpoints, "-o", out, "--json")
    assert again.code == 0
    assert [w for w in again.answer["warnings"] if w not in first.answer["warnings"]] == [
        f"{out}: replaced models that had been there: coarse.onnx, codec_decoder.onnx, "
        "codec_encoder.onnx",
        f"{out}: holds models that are not of this import: other.onnx",
    ]


def test_a_golden_file_that_is_not_there_leaves_no_model(vampbench, checkpoints, tmp_path):
    golden, out = tmp_path / "none.npz", tmp_path / "models"
    found = vampbench("import", checkpoints, "--golden", golden, "-o", out)
    assert found.code == 2 and "none.npz: " in found.errors[0]
    assert not out.exists()


def test_a_golden_file_is_not_believed_about_its_size(vampbench, checkpoints, tmp_path):
    audio = np.zeros((1, 1, 768), np.float32)
    write_npz(tmp_path / "g.npz", {"codec_audio": audio, "codec_codes": np.zeros((1, 4, 1))})
    golden = grown(tmp_path / "g.npz", tmp_path / "grown.npz", "codec_audio")
    found = vampbench("import", checkpoints, "--golden", golden, "-o", tmp_path / "models")
    assert (
        found.code == 2 and "codec_audio holds 3072 bytes, and its header says" in found.errors[0]
    )
    assert not (tmp_path / "models").exists()
