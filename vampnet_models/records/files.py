"""Records in files: one a file, as JSON, with its version first; or kept under what made them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from vampnet_models.cache import recall, remember
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.records.generic import Version, as_json, read, record_of, versioned

_T = TypeVar("_T")


def write_record(record: Any, version: Version, path: Path) -> None:
    """Write a record as JSON, atomically. Raises InputError when it cannot be written."""
    text = json.dumps(versioned(record, version), indent=1, allow_nan=False)
    write_text(path, text + "\n")


def read_record(kind: type[_T], version: Version, path: Path) -> _T:
    """Read a record. Raises InputError when the file is missing, damaged or of another version."""
    return record_of(kind, read_values(version, path), version, str(path))


def read_values(version: Version, path: Path) -> Any:
    """The JSON of a record, not yet looked at. Raises InputError when it cannot be read."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path}: no readable {version.name} ({reason}); {version.remedy}"
        ) from error


def recall_record(kind: type[_T], path: Path, key: str) -> _T | None:
    """What a step gave in an earlier run of the same inputs; None where it is not kept.

    Nor is what an earlier version kept, with other fields.
    """
    found = recall(path, key)
    with suppress(InputError):
        return None if found is None else read(kind, found, str(path), "")
    return None


def remembered_record(kind: type[_T], path: Path, key: str, compute: Callable[[], _T]) -> _T:
    """What a step gave: from an earlier run of the same inputs, or computed now and kept."""
    found = recall_record(kind, path, key)
    if found is None:
        found = compute()
        remember(path, key, as_json(found))
    return found
