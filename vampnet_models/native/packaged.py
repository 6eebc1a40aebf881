"""The operator library of the package `vampnet-workbench-ops`, where pip brought it: no compiler.

The package holds the library and the hash of the sources that it was built of; nothing of it runs
before that is found to be the hash of the sources here.
"""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path

PACKAGE = "vampnet_workbench_ops"
DISTRIBUTION = "vampnet-workbench-ops"
HASH_FILE = "sources.sha256"


def library_name() -> str:
    """Of the file in the package, for this kind of machine."""
    return f"vampnet_native-{platform.machine()}.so"


def packaged_library(sources_sha256: str) -> Path | None:
    """The package's library; None where there is none, or one of other sources."""
    folder = _folder()
    if folder is None or _hash_in(folder) != sources_sha256:
        return None
    path = folder / library_name()
    return path if path.is_file() else None


def why_not(sources_sha256: str) -> str | None:
    """Why a package that is there cannot be used; None where it can be, or where none is."""
    folder = _folder()
    if folder is None or packaged_library(sources_sha256) is not None:
        return None
    if _hash_in(folder) != sources_sha256:
        return f"{DISTRIBUTION} is of another version: pip install -U {DISTRIBUTION}"
    return f"{DISTRIBUTION} has no library for {platform.machine()}"


def _folder() -> Path | None:
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent


def _hash_in(folder: Path) -> str | None:
    try:
        return (folder / HASH_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
