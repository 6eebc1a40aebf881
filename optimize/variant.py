"""What is known about a variant: how it was made, from what, and what it holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optimize.fusions.rule import Unmatched
from optimize.precision.contract import FloatNode, MixedNode
from optimize.probe import Probe
from optimize.runtime_facts import RuntimeFacts, facts_of
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import write_text

_SCHEMA = 2
_READABLE_SCHEMAS = (1, _SCHEMA)
"""Schema 1 has no `runtime`: its variants count as not checked."""


@dataclass(frozen=True)
class SourceFacts:
    """The model that a variant was made from."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class CalibrationFacts:
    """The feeds that a variant was calibrated on, what they cover, and who chose the ranges.

    `settings` are the recipe's own, in words.
    """

    sha256: str
    n_feeds: int
    audio: str
    upstream: str = ""
    observer: str = "minmax"
    coverage: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VariantRecord:
    """The contents of variant.json.

    `fusions` counts what each rule rewrote, `unmatched` lists the candidates that it left.
    `precision` counts weight-carrying nodes by precision; `mixed_nodes` got another precision than
    the rest, `float_nodes` none, each with its reason. `custom_operators` need a library;
    without it the model `portable`, beside this one, is opened. `runtime_checked` says whether the
    runtime's own optimized graph was read back; `runtime` is what it holds. `probe` is what came of
    one feed through the source and the variant.
    """

    recipe: str
    role: str
    model: str
    bytes: int
    sha256: str
    source: SourceFacts
    calibration: CalibrationFacts | None
    versions: dict[str, str]
    fusions: dict[str, int]
    unmatched: tuple[Unmatched, ...]
    precision: dict[str, int]
    float_nodes: tuple[FloatNode, ...]
    mixed_nodes: tuple[MixedNode, ...] = ()
    warnings: tuple[str, ...] = ()
    custom_operators: tuple[str, ...] = ()
    portable: str | None = None
    runtime_checked: bool = False
    runtime: RuntimeFacts | None = None
    probe: Probe | None = None
    schema: int = field(default=_SCHEMA)

    def as_json(self) -> dict[str, Any]:
        """The record as JSON values, the schema first."""
        values = asdict(self)
        return {"schema": values.pop("schema"), **values}


@dataclass(frozen=True)
class Variant:
    """A model that a recipe made, and its record; `reused` where it was there already."""

    path: Path
    record: VariantRecord
    reused: bool = False


def record_path(model: Path) -> Path:
    """Where the record of a variant lies: `NAME.variant.json` beside `NAME.onnx`."""
    return model.with_name(f"{model.stem}.variant.json")


def write_record(record: VariantRecord, path: Path) -> None:
    """Write a record as JSON, atomically. Raises InputError when it cannot be written."""
    write_text(path, json.dumps(record.as_json(), indent=1) + "\n")


def read_record(path: Path) -> VariantRecord:
    """Read a record. Raises InputError when the file is missing, damaged or of another schema."""
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable variant record ({error}); build it again") from error
    if not isinstance(values, dict) or values.get("schema") not in _READABLE_SCHEMAS:
        raise InputError(f"{path}: not a variant record of schema {_SCHEMA}; build it again")
    try:
        return _record(values)
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged variant record ({error}); build it again") from error


def _record(values: dict[str, Any]) -> VariantRecord:
    calibration, runtime = values["calibration"], values.get("runtime")
    probe = values.get("probe")
    values = values | {
        "schema": _SCHEMA,
        "source": SourceFacts(**values["source"]),
        "calibration": None if calibration is None else CalibrationFacts(**calibration),
        "unmatched": tuple(Unmatched(**each) for each in values["unmatched"]),
        "float_nodes": tuple(FloatNode(**each) for each in values["float_nodes"]),
        "mixed_nodes": tuple(MixedNode(**each) for each in values["mixed_nodes"]),
        "warnings": tuple(values["warnings"]),
        "custom_operators": tuple(values.get("custom_operators", ())),
        "runtime": None if runtime is None else facts_of(runtime),
        "probe": None if probe is None else Probe(**probe),
    }
    return VariantRecord(**values)
