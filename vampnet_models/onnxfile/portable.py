"""The portable model that a native one names, to be opened where the operator library is not."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from vampnet_models.errors import InputError
from vampnet_models.native.library import PORTABLE_HASH_KEY, PORTABLE_KEY, built_library, how
from vampnet_models.onnxfile.artifact import load_model, model_files, open_artifact, sha256_of

NATIVE_SUFFIX = ".native.onnx"
"""Of a native model's file, in place of `.onnx`."""


def native_beside(portable: Path) -> Path:
    """Where the native model of a portable one lies."""
    return portable.with_name(f"{portable.stem}{NATIVE_SUFFIX}")


def name_portable(model: ir.Model, portable: Path) -> None:
    """Note in a native model's metadata which model, of which content, stands in for it."""
    model.metadata_props[PORTABLE_KEY] = portable.name
    model.metadata_props[PORTABLE_HASH_KEY] = open_artifact(portable).sha256


def portable_of(model: Path) -> Path:
    """The portable model of a native one.

    Raises InputError, naming the file that is to be mended, where the model names none, or where
    what it names is missing, unreadable or another model.
    """
    named = load_model(model).metadata_props
    if PORTABLE_KEY not in named:
        raise InputError(
            f"{model}: needs the operator library, and names no portable model; {how()}"
        )
    path = model.parent / Path(named[PORTABLE_KEY]).name
    needs = f"in whose place it is opened without the operator library ({how()})"
    if not path.is_file():
        raise InputError(f"{path}: is missing: copy it beside {model.name}, {needs}")
    found = sha256_of(model_files(path, load_model(path)))
    if found != named.get(PORTABLE_HASH_KEY, found):
        raise InputError(
            f"{path}: is not the portable model that was made with {model.name}, {needs}; make "
            "both again with --native"
        )
    return path


def stand_in(model: Path) -> Path | None:
    """The portable model that sessions open in place of `model` on this machine, if they do.

    Raises InputError as `portable_of` does.
    """
    if built_library() is not None or PORTABLE_KEY not in load_model(model).metadata_props:
        return None
    return portable_of(model)
