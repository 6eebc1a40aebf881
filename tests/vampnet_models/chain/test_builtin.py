import json
import shutil
from pathlib import Path

import pytest

import vampnet_models
from vampnet_models.chain.builtin import builtin_models, check_reference
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.repair.inspection import inspect_model

REFERENCE = Path(vampnet_models.__file__).parent / "reference"


def test_the_shipped_checkpoints_become_the_four_trained_models(tmp_path):
    models = builtin_models(tmp_path)
    roles = {open_artifact(p).role.value for p in models.glob("*.onnx")}
    assert roles == {"codec-encoder", "codec-decoder", "coarse", "c2f"}
    assert inspect_model(models / "coarse.onnx").weights == "trained"
    before = (models / "coarse.onnx").stat().st_mtime_ns
    builtin_models(tmp_path)
    assert (models / "coarse.onnx").stat().st_mtime_ns == before


def test_an_import_of_other_checkpoints_is_done_again(tmp_path):
    models = builtin_models(tmp_path)
    record = json.loads((models / "import.json").read_text())
    record["sources"][0]["sha256"] = "0" * 64
    (models / "import.json").write_text(json.dumps(record))
    before = (models / "coarse.onnx").stat().st_mtime_ns
    builtin_models(tmp_path)
    assert (models / "coarse.onnx").stat().st_mtime_ns != before


def test_a_changed_or_missing_checkpoint_is_refused(tmp_path):
    for each in (*REFERENCE.glob("*.pth"), REFERENCE / "sha256.json"):
        shutil.copy(each, tmp_path)
    check_reference(tmp_path)
    path = tmp_path / "coarse.pth"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"coarse\.pth: is not the file that was shipped"):
        check_reference(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"coarse\.pth: missing"):
        check_reference(tmp_path)


def test_the_set_is_small_enough_to_ship():
    assert 0 < sum(each.stat().st_size for each in REFERENCE.glob("*.pth")) <= 14_000_000
