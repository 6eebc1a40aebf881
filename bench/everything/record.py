"""What was made, out of what: a step is stale when any file that counts is another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from bench.everything.steps import WORK, Step
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import write_text

Record = dict[str, dict[str, str]]
"""By step: the hashes of what it was made of (`read`, `code`) and of each file that it wrote."""

OTHER_CODE = "made by other code"
ABSENT = "its files are not here"
"""Of files below `WORK`, which are not committed."""


def read_record(path: Path) -> Record:
    """What was made before; nothing where no file is. Raises InputError where it is torn."""
    if not path.exists():
        return {}
    try:
        found: Record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: no record of steps; delete it to make all again") from error
    return found


def write_record(path: Path, record: Record) -> None:
    """Written beside and renamed: a stop leaves the old record or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def made_of(step: Step, record: Record, root: Path) -> dict[str, str]:
    """`read`: one hash over the commands, what is read, and what the steps before wrote; `code`.

    Raises InputError where a pattern matches nothing: a step never runs on half of its inputs.
    """
    before = {name: _written(record.get(name)) for name in step.after}
    known = json.dumps([step.commands, before], sort_keys=True)
    return {
        "read": _hash_of(step.name, known, step.reads, root),
        "code": _hash_of(step.name, "", step.code, root),
    }


def _written(kept: dict[str, str] | None) -> dict[str, str]:
    return {name: digest for name, digest in (kept or {}).items() if name not in ("read", "code")}


def _hash_of(step: str, known: str, patterns: Sequence[str], root: Path) -> str:
    digest = hashlib.sha256(known.encode())
    for pattern in patterns:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if not found:
            raise InputError(f"{step}: {pattern} is missing, which it is made of")
        for path in found:
            if not _is_program(path):  # an environment counts by being there
                digest.update(f"\n{pattern} {path.name} {_hash(path)}".encode())
    return digest.hexdigest()


def wrote(step: Step, root: Path) -> dict[str, str]:
    """The hash of each file that the step wrote. Raises InputError where one is missing."""
    missing = [name for name in step.writes if not (root / name).is_file()]
    if missing:
        raise InputError(f"{step.name}: did not write {', '.join(missing)}")
    return {name: _hash(root / name) for name in step.writes}


def reasons(
    steps: Sequence[Step], record: Record, root: Path, *, code: bool = False
) -> dict[str, str]:
    """Why each stale step is stale, by its name; a step after a stale one is stale too.

    With `code`, one that other code made is stale as well. One whose files are not committed, and
    not here, is made again when a stale step needs them.
    """
    spared = (None, ABSENT) if code else (None, ABSENT, OTHER_CODE)
    found: dict[str, str] = {}
    for step in steps:
        why = _why(step, record, root)
        first = next((name for name in step.after if found.get(name) not in spared), None)
        if why in spared and first is not None:
            why = f"after {first}"
        if why is not None:
            found[step.name] = why
    needed: set[str] = set()
    for step in reversed(steps):
        why = found.get(step.name)
        if why in spared and not (why == ABSENT and step.name in needed):
            found.pop(step.name, None)
        if step.name in found:
            needed.update(step.after)
    return found


def _why(step: Step, record: Record, root: Path) -> str | None:
    kept = record.get(step.name)
    if kept is None:
        return "not made yet"
    absent = False
    for name in step.writes:
        if not (root / name).is_file():
            if not name.startswith(WORK):
                return f"{name} is missing"
            absent = True
        elif _hash(root / name) != kept.get(name):
            return f"{name} is another"
    try:
        now = made_of(step, record, root)
    except InputError as error:
        return str(error)
    if now["read"] != kept["read"]:
        return "made of other files"
    if absent:
        return ABSENT
    return None if now["code"] == kept.get("code") else OTHER_CODE


def _is_program(path: Path) -> bool:
    return path.parent.name == "bin"


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
