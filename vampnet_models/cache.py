"""What finished steps gave, kept in files under a hash of all that it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import write_text

Json = dict[str, Any]


def key_of(*parts: object) -> str:
    """A content key over hashes, names and numbers."""
    return hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).hexdigest()


def recall(path: Path, key: str) -> Json | None:
    """The value that was remembered under this key; None when it is another or unreadable."""
    try:
        stored = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(stored, dict) or stored.get("key") != key:
        return None
    value = stored.get("value")
    return value if isinstance(value, dict) else None


def remember(path: Path, key: str, value: Json) -> Json:
    """Keep a step's value for the next run of the same inputs."""
    write_text(path, json.dumps({"key": key, "value": value}, allow_nan=False))
    return value


def remembered(path: Path, key: str, compute: Callable[[], Json]) -> Json:
    """The value of a step: from an earlier run of the same inputs, or computed now."""
    found = recall(path, key)
    return found if found is not None else remember(path, key, compute())
