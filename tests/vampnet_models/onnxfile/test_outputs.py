"""Where output may be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.outputs import check_apart, model_output


@pytest.mark.parametrize(
    ("out", "written"),
    [
        ("v.onnx", "v.onnx"),
        ("new/v.onnx", "new/v.onnx"),
        ("new", "new/m.onnx"),
        ("there", "there/m.onnx"),
        ("there.v2", "there.v2/m.onnx"),
    ],
)
def test_one_model_is_a_file_or_goes_into_a_folder(tmp_path: Path, out: str, written: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there.v2").mkdir()
    assert model_output(tmp_path / out, tmp_path / "m.onnx") == tmp_path / written


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("x.txt", r"x\.txt: ends in \.txt; give a name that ends in \.onnx, or a folder"),
        ("file", "file: is no folder; give a name"),
        ("file.txt", r"file\.txt: is no folder; give a name"),
        ("m.onnx", r"m\.onnx: is the input itself"),
        (".", r"m\.onnx: is the input itself"),
    ],
)
def test_other_outputs_are_refused(tmp_path: Path, out: str, said: str) -> None:
    for name in ("file", "file.txt", "m.onnx"):
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=said):
        model_output(tmp_path / out, tmp_path / "m.onnx")


def test_an_output_is_neither_the_input_nor_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    check_apart(tmp_path / "models-out", folder, None, tmp_path / "absent")
    check_apart(tmp_path, folder)
    for out in (folder, folder / ".." / "models", tmp_path / "link"):
        with pytest.raises(InputError, match="is the input folder itself"):
            check_apart(out, folder)
    for out in (folder / "out", tmp_path / "link" / "a" / "b"):
        with pytest.raises(InputError, match="lies inside the input folder"):
            check_apart(out, tmp_path / "absent", folder)
