"""What another tool measured on a real device."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from profiles.imported.times import import_profile as read
from vampbench.api.bounds import typed
from vampnet_models.records.files import read_record, write_record
from vampnet_models.records.generic import IMPORTED
from vampnet_models.records.imported import Imported, ImportedFile


@typed
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
    found = tuple(read(Path(path), device, model) for path in files)
    if output is not None:
        write_record(ImportedFile(_merged(Path(output), found)), IMPORTED, Path(output))
    return found


def _merged(out: Path, records: tuple[Imported, ...]) -> tuple[Imported, ...]:
    """What `out` holds already, without the files that come again. Raises InputError."""
    if not out.is_file():
        return records
    new = {record.source_sha256 for record in records}
    earlier = read_record(ImportedFile, IMPORTED, out).records
    return (*(r for r in earlier if r.source_sha256 not in new), *records)
