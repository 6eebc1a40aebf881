"""Better evidence than estimates, where it lies beside results.json: compiled, emulated, imported.

`qnn.json` is what `vampbench qnn -o` writes, `imported.json` what `vampbench import-profile -o`
does, `arm64.json` what bench/machines/arm64.py does. Each row says which level it is of.
"""

from __future__ import annotations

from pathlib import Path

from profiles.report.tables.cells import Cell, absent, fact, measured, words
from profiles.report.tables.table import Row, Table
from profiles.report.views.fields import Record
from profiles.report.views.units import agreement_text, db_text, percent_text, plural, seconds_text
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import IMPORTED
from vampnet_models.records.imported import Imported, ImportedFile

_COLUMNS = ("Evidence", "On", "Takes", "Token agreement", "Time")
_MISSING = (
    ("qnn.json", "not measured: vampbench qnn SOURCE VARIANTS -o qnn.json in this folder"),
    ("arm64.json", "not measured: make test-arm64; lay its arm64.json beside results.json"),
    ("imported.json", "not measured: vampbench import-profile FILE -o imported.json here"),
)


def evidence_table(folder: Path) -> Table:
    """The rows of all three files. Raises InputError when one cannot be read."""
    rows: list[Row] = []
    for name, record in _records(folder / "qnn.json", ("variants", "records")):
        rows.append(_compiled(name, record))
    for name, record in _records(folder / "arm64.json", ("records",)):
        rows.append(_emulated(name, record, "ARM64 kernels, emulated"))
    path = folder / "imported.json"
    if path.is_file():
        rows += [_imported(each) for each in read_record(ImportedFile, IMPORTED, path).records]
    return Table(_COLUMNS, tuple(rows))


def missing_evidence(folder: Path) -> tuple[str, ...]:
    """How to get what is not there."""
    return tuple(how for name, how in _MISSING if not (folder / name).is_file())


def _records(path: Path, keys: tuple[str, ...]) -> list[tuple[str, Record]]:
    if not path.is_file():
        return []
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        found = next(content[key] for key in keys if key in content)
        pairs = found.items() if isinstance(found, dict) else enumerate(found)
        return [(str(name), Record(dict(record), str(name))) for name, record in pairs]
    except (OSError, ValueError, TypeError, StopIteration) as error:
        raise InputError(f"{path}: holds no such records; remove it or write it again") from error


def _compiled(name: str, record: Record) -> Row:
    if record.text("kind") != "compiled":
        return Row(name, None, "failed", record.text("reason") or "no reason given", ())
    nodes, supported = record.count("nodes"), record.count("supported")
    parts = record.count("partitions")
    taken = fact(
        record.number("flops_share"),
        percent_text,
        (f"{supported} of {nodes} nodes", plural(parts or 0, "part")),
    )
    emulated = record.record("emulated")
    level = "compiled, emulated" if emulated.data else "compiled"
    where = words(record.text("soc") or "unknown chip")
    return Row(name, None, "ok", "", (words(level), where, taken, _agreement(emulated), absent()))


def _emulated(name: str, record: Record, where: str) -> Row:
    if record.text("kind") != "emulated":
        return Row(name, None, "failed", record.text("reason") or "no reason given", ())
    same = record.number("arm_to_reference")
    tokens = record.text("measure") == "tokens"
    x86 = record.number("arm_to_x86")
    equal = record.data.get("bit_equal") is True
    line = "equal to x86, bit for bit" if equal else f"to x86: {_score(x86, tokens)}"
    cell = fact(same, agreement_text if tokens else db_text, (line,))
    return Row(name, None, "ok", "", (words("emulated"), words(where), absent("-"), cell, absent()))


def _imported(record: Imported) -> Row:
    low, high = record.p10_s, record.p90_s
    spread = (
        () if low is None or high is None else (f"{seconds_text(low)} to {seconds_text(high)}",)
    )
    time = measured(record.median_s, seconds_text, (*spread, f"by {record.tool}"))
    cells = (words(record.evidence), words(record.device), absent("-"), absent(), time)
    return Row(record.model, None, "ok", "", cells)


def _agreement(emulated: Record) -> Cell:
    same = emulated.number("to_reference")
    if same is None:
        return absent()
    tokens = emulated.text("measure") == "tokens"
    cpu = emulated.number("variant_to_reference")
    count = emulated.count("n_positions")
    lines = [f"on the CPU: {_score(cpu, tokens)}"]
    if tokens and count is not None:
        lines.append(plural(count, "token"))
    return fact(same, agreement_text if tokens else db_text, tuple(lines))


def _score(value: float | None, tokens: bool) -> str:
    if value is None:
        return "not known"
    return agreement_text(value) if tokens else db_text(value)
