"""Where output may be written: settled before the first second of work."""

from __future__ import annotations

import os
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_output


def model_output(out: Path, model: Path) -> Path:
    """The file that a command on one model writes: `out`, or the model's name in the folder `out`.

    Raises InputError where `out` ends like a file of another kind, and as `check_output` does.
    """
    if out.suffix == ".onnx":
        target = out
    elif out.is_dir() or not (out.suffix or out.exists()):
        target = out / model.name
    else:
        what = "is no folder" if out.exists() else f"ends in {out.suffix}"
        raise InputError(f"{out}: {what}; give a name that ends in .onnx, or a folder")
    check_output(target, model)
    return target


def check_apart(out: Path, *inputs: Path | None) -> None:
    """Raise InputError where `out` is one of these folders, or lies inside: a second run would take
    its own output for input."""
    for folder in inputs:
        if folder is None or not folder.is_dir():
            continue
        where, whole = Path(os.path.realpath(out)), Path(os.path.realpath(folder))
        if where == whole:
            raise InputError(f"{out}: is the input folder itself; choose another output")
        if where.is_relative_to(whole):
            raise InputError(f"{out}: lies inside the input folder {folder}; choose another output")
