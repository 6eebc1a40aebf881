"""A variant: the model that a recipe made, and the record beside it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vampnet_models.records import files
from vampnet_models.records.generic import VARIANT
from vampnet_models.records.variant import VariantRecord

_PACKAGES = ("vampnet-workbench", "onnx", "onnxruntime", "onnx-ir", "onnxscript", "numpy")


@dataclass(frozen=True)
class Variant:
    """A model that a recipe made, and its record; `reused` where it was there already."""

    path: Path
    record: VariantRecord
    reused: bool = False


def versions() -> dict[str, str]:
    """Versions of the packages that decide what a variant is; `source` when not installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "source"
    return found


def record_path(model: Path) -> Path:
    """Where the record of a variant lies: `NAME.variant.json` beside `NAME.onnx`."""
    return model.with_name(f"{model.stem}.variant.json")


def write_record(record: VariantRecord, path: Path) -> None:
    """Write a record as JSON, atomically. Raises InputError when it cannot be written."""
    files.write_record(record, VARIANT, path)


def read_record(path: Path) -> VariantRecord:
    """Read a record. Raises InputError when the file is missing, damaged or of another version."""
    return files.read_record(VariantRecord, VARIANT, path)
