"""Better evidence than estimates, where it lies beside results.json: compiled, emulated, imported.

`qnn.json` is what `vampbench qnn -o` writes, `imported.json` what `vampbench import-profile -o`
does, `arm64.json` what bench/machines/arm64.py does. Each row says which level it is of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from profiles.report.tables.cells import Cell, absent, fact, measured, words
from profiles.report.tables.table import Row, Table
from profiles.report.views.units import agreement_text, db_text, percent_text, plural, seconds_text
from vampnet_models.records.evidence import (
    Arm64File,
    Compiled,
    CompiledFile,
    Emulated,
    Measure,
    NotRun,
    OnArm64,
)
from vampnet_models.records.files import read_record
from vampnet_models.records.generic import ARM64, COMPILED, IMPORTED
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
    path = folder / "qnn.json"
    if path.is_file():
        compiled = read_record(CompiledFile, COMPILED, path).variants
        rows += [_compiled(name, each) for name, each in compiled.items()]
    path = folder / "arm64.json"
    if path.is_file():
        emulated = read_record(Arm64File, ARM64, path).records
        rows += [_emulated(name, each) for name, each in emulated.items()]
    path = folder / "imported.json"
    if path.is_file():
        rows += [_imported(each) for each in read_record(ImportedFile, IMPORTED, path).records]
    return Table(_COLUMNS, tuple(rows))


def missing_evidence(folder: Path) -> tuple[str, ...]:
    """How to get what is not there."""
    return tuple(how for name, how in _MISSING if not (folder / name).is_file())


def _compiled(name: str, record: Compiled | NotRun) -> Row:
    if isinstance(record, NotRun):
        return Row(name, None, "failed", record.reason, ())
    taken = fact(
        record.flops_share,
        percent_text,
        (f"{record.supported} of {record.nodes} nodes", plural(record.partitions, "part")),
    )
    level = "compiled" if record.emulated is None else "compiled, emulated"
    agreed = absent() if record.emulated is None else _agreement(record.emulated)
    return Row(name, None, "ok", "", (words(level), words(record.soc), taken, agreed, absent()))


def _emulated(name: str, record: OnArm64 | NotRun) -> Row:
    if isinstance(record, NotRun):
        return Row(name, None, "failed", record.reason, ())
    line = f"to x86: {_score(record.arm_to_x86, record.measure)}"
    if record.bit_equal:
        line = "equal to x86, bit for bit"
    agreed = fact(record.arm_to_reference, _text_of(record.measure), (line,))
    where = words("ARM64 kernels, emulated")
    return Row(name, None, "ok", "", (words("emulated"), where, absent("-"), agreed, absent()))


def _imported(record: Imported) -> Row:
    low, high = record.p10_s, record.p90_s
    spread = (
        () if low is None or high is None else (f"{seconds_text(low)} to {seconds_text(high)}",)
    )
    time = measured(record.median_s, seconds_text, (*spread, f"by {record.tool}"))
    cells = (words(record.evidence), words(record.device), absent("-"), absent(), time)
    return Row(record.model, None, "ok", "", cells)


def _agreement(emulated: Emulated) -> Cell:
    lines = [f"on the CPU: {_score(emulated.variant_to_reference, emulated.measure)}"]
    if emulated.measure == "tokens":
        lines.append(plural(emulated.n_positions, "token"))
    return fact(emulated.to_reference, _text_of(emulated.measure), tuple(lines))


def _text_of(measure: Measure) -> Callable[[float], str]:
    return agreement_text if measure == "tokens" else db_text


def _score(value: float, measure: Measure) -> str:
    return _text_of(measure)(value)
