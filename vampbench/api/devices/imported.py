"""What another tool measured on a real device."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from profiles.imported.times import Imported
from profiles.imported.times import import_profile as read
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import write_text


def import_profile(
    files: Iterable[str | Path],
    *,
    device: str,
    model: str | None = None,
    output: str | Path | None = None,
) -> tuple[Imported, ...]:
    """Read what other tools wrote on a device, a record per file; add them to the JSON `output`.

    Taken are onnxruntime_perf_test's result, what it prints, its profile, and the JSON of Qualcomm
    AI Hub's client. `model` names the model where a file does not. Raises InputError for a file
    that is none of these, and where `output` holds something else.
    """
    records = tuple(read(Path(path), device, model) for path in files)
    if output is not None:
        merged = _merged(Path(output), [record.as_json() for record in records])
        write_text(Path(output), json.dumps({"records": merged}, indent=1) + "\n")
    return records


def _merged(out: Path, records: list[Json]) -> list[Json]:
    """What `out` holds already, without the files that come again. Raises InputError."""
    if not out.is_file():
        return records
    try:
        earlier = parse_json(out.read_text(encoding="utf-8"))["records"]
        new = {record["source_sha256"] for record in records}
        return [r for r in earlier if r["source_sha256"] not in new] + records
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{out}: holds no imported records; choose another output") from None
