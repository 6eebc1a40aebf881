"""The JSON Schema of a record, from its type hints; docs/update.py writes them."""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vampbench.cli.console import Answer
from vampnet_models.records.generic import (
    ANSWER,
    MANIFEST,
    PROFILE,
    RESULTS,
    TUNING,
    VARIANT,
    Version,
)
from vampnet_models.records.manifest import Manifest
from vampnet_models.records.profiles import ProfileFile
from vampnet_models.records.results import Results
from vampnet_models.records.tuning import Tuning
from vampnet_models.records.variant import VariantRecord

_REFERENCE = Path(__file__).resolve().parent / "reference"
_SCALARS = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}

SCHEMAS: dict[Path, tuple[type, Version]] = {
    _REFERENCE / f"{name}.schema.json": (kind, version)
    for name, kind, version in (
        ("answer", Answer, ANSWER),
        ("manifest", Manifest, MANIFEST),
        ("profile", ProfileFile, PROFILE),
        ("results", Results, RESULTS),
        ("tune", Tuning, TUNING),
        ("variant", VariantRecord, VARIANT),
    )
}
"""Each schema's file, and the record that it is of."""


def schema_text(kind: type, version: Version) -> str:
    """The schema of a file or an answer, as the file that docs/ holds."""
    records: dict[str, Any] = {}
    found = _record(kind, records)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": version.name,
        **found,
        "properties": {"schema": {"const": version.written}, **found["properties"]},
        "required": ["schema", *found["required"]],
    }
    if records:
        whole["$defs"] = dict(sorted(records.items()))
    return json.dumps(whole, indent=2) + "\n"


def _record(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    """The schema of a record; those that it holds go to `records`, by name, each once."""
    hints = get_type_hints(kind)
    return {
        "type": "object",
        "properties": {f.name: _schema(hints[f.name], records) for f in fields(kind)},
        "required": [
            f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING
        ],
        "additionalProperties": False,
    }


def _schema(hint: Any, records: dict[str, Any]) -> dict[str, Any]:
    arguments, origin = get_args(hint), get_origin(hint)
    if is_dataclass(hint):
        name = hint.__name__  # type: ignore[union-attr]
        if name not in records:
            records[name] = {}
            records[name] = _record(hint, records)
        return {"$ref": f"#/$defs/{name}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, records) for each in arguments]}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _schema(arguments[0], records)}
    if origin is tuple:
        size = len(arguments)
        items = [_schema(each, records) for each in arguments]
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], records)}
    return {"type": _SCALARS[hint]} if hint in _SCALARS else {}
