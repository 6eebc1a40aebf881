"""The folder that a run writes: what lies where, and what is remembered between runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import cannot_write, write_text

Json = dict[str, Any]


@dataclass(frozen=True)
class Workspace:
    """Paths below the output folder."""

    root: Path

    @property
    def results(self) -> Path:
        """Everything that was found, for machines."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """Everything that was found, for people."""
        return self.root / "report.html"

    def variant(self, recipe: str, model: str) -> Path:
        """Where the variant of a model is written."""
        return self.root / "variants" / recipe / f"{model}.onnx"

    def golden(self, model: str) -> Path:
        """A feed of a model and its source's answer, for a bundle."""
        return self.root / "golden" / f"{model}.npz"

    def work(self, *parts: str) -> Path:
        """Feeds, answers and remembered steps; safe to delete."""
        return self.root.joinpath("work", *parts)

    def open(self) -> None:
        """Make the folder. Raises InputError when it cannot be written."""
        probe = self.root / ".writable"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise cannot_write(self.root, error) from error


def relative_to(root: Path, path: Path) -> str:
    """The path as a file in `root` names it, so that both can be moved together."""
    there = path.parent.resolve() / path.name
    return Path(os.path.relpath(there, root.resolve())).as_posix()


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
