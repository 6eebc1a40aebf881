"""The JSON Schema of a record, from its type hints; docs/update.py writes that of an answer."""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from vampbench.cli.console import Answer
from vampnet_models.records.generic import ANSWER, VARIANT, Version
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
    _REFERENCE / "answer.schema.json": (Answer, ANSWER),
    _REFERENCE / "variant.schema.json": (VariantRecord, VARIANT),
}
"""Each schema's file, and the record that it is of."""


def schema_text(kind: type, version: Version) -> str:
    """The schema of a file or an answer, as the file that docs/ holds."""
    found = _schema(kind)
    properties = {"schema": {"const": version.written}, **found["properties"]}
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": version.name,
        **found,
        "properties": properties,
        "required": ["schema", *found["required"]],
    }
    return json.dumps(whole, indent=2) + "\n"


def _schema(hint: Any) -> dict[str, Any]:
    arguments = get_args(hint)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return {
            "type": "object",
            "properties": {f.name: _schema(hints[f.name]) for f in fields(hint)},
            "required": [
                f.name
                for f in fields(hint)
                if f.default is MISSING and f.default_factory is MISSING
            ],
            "additionalProperties": False,
        }
    if get_origin(hint) in (Union, types.UnionType):
        return {"anyOf": [_schema(each) for each in arguments]}
    if get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _schema(arguments[0])}
    if get_origin(hint) is tuple:
        size = len(arguments)
        return {"type": "array", "prefixItems": [_schema(each) for each in arguments]} | {
            "minItems": size,
            "maxItems": size,
        }
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    return {"type": _SCALARS[hint]} if hint in _SCALARS else {}
