"""The models that are used when none are given: small, and really trained.

They ship as checkpoints in the original file format, so that what every demo and test runs is
what `vampbench import` makes of a user's files.
"""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path

from vampnet_models.errors import InputError
from vampnet_models.importing.importer import RECORD_NAME, import_models
from vampnet_models.onnxfile.artifact import sha256_of
from vampnet_models.progress import StepProgress
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import DECIDED, IMPORT
from vampnet_models.records.import_record import ImportRecord
from vampnet_models.records.results import Decided
from vampnet_models.spec import FILE_STEMS, Role

_CHECKPOINTS = ("codec.pth", "coarse.pth", "c2f.pth")
_HASHES_NAME = "sha256.json"
DECISION_NAME = "decision.json"
"""Beside the checkpoints; `docs/update.py --decision` writes it."""

_BUILTIN_ROLES = (Role.CODEC_ENCODER, Role.CODEC_DECODER, Role.COARSE, Role.C2F)


def builtin_models(folder: Path, progress: StepProgress | None = None) -> Path:
    """The folder with the four built-in models, imported below `folder` unless they are there.

    Raises InputError when a shipped checkpoint is not the one that was trained, or when
    `folder` cannot be written.
    """
    models = folder / "builtin"
    with as_file(files("vampnet_models.reference")) as reference:
        hashes = check_reference(reference)
        if not _is_there(models, hashes):
            paths = [reference / name for name in _CHECKPOINTS]
            import_models(paths, models, self_check=False, weights="trained", progress=progress)
    return models


def builtin_decision() -> Decided:
    """What to ship of the built-in models, as it was decided when the package was made.

    Raises InputError when it cannot be read.
    """
    with as_file(files("vampnet_models.reference") / DECISION_NAME) as path:
        return read_record(Decided, DECIDED, path)


def check_reference(reference: Path) -> dict[str, str]:
    """The hashes of the shipped checkpoints. Raises InputError when one is missing or changed."""
    hashes: dict[str, str] = json.loads((reference / _HASHES_NAME).read_text(encoding="utf-8"))
    for name in _CHECKPOINTS:
        path = reference / name
        if not path.is_file():
            raise InputError(f"{path}: missing; install the project again")
        if sha256_of((path,)) != hashes[name]:
            raise InputError(f"{path}: is not the file that was shipped; install the project again")
    return hashes


def _is_there(models: Path, hashes: dict[str, str]) -> bool:
    """Whether an earlier import of the same checkpoints left all four models."""
    if not all((models / f"{FILE_STEMS[role]}.onnx").is_file() for role in _BUILTIN_ROLES):
        return False
    try:
        record = read_record(ImportRecord, IMPORT, models / RECORD_NAME)
    except InputError:
        return False
    found = {source.file: source.sha256 for source in record.sources}
    return found == {name: hashes[name] for name in _CHECKPOINTS}
