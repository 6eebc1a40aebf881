"""Which nodes float16 cannot hold, by what their values were measured to be.

Ranges are taken on calibration audio from the fused float32 graph. They may be kept in a file and
used again without running the model; the file names the model that they were measured on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from calibration.ranges.observers import Range
from optimize.precision.fp16.extremes import LARGEST, SMALLEST_NORMAL
from optimize.precision.fp16.forms import is_float
from optimize.surgery.scopes import all_nodes
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import write_text

_SCHEMA = 1
_HEADROOM = 2.0
"""Other audio may be louder: a value within this factor of float16's largest is kept."""


def tensors_to_measure(graph: ir.Graph) -> dict[str, int | None]:
    """All float tensors between the nodes of the main graph, as a whole each."""
    return {
        value.name: None
        for node in graph
        for value in node.outputs
        if value.name and is_float(value) and value.uses()
    }


def nodes_to_keep(graph: ir.Graph, ranges: Mapping[str, Range]) -> dict[str, str]:
    """Nodes that stay in float32 by the ranges of what they read or write, with reasons."""
    found: dict[str, str] = {}
    for node in all_nodes(graph):
        for value in (*node.outputs, *node.inputs):
            reason = _reason(value, ranges)
            if reason is not None and node.name:
                found.setdefault(node.name, reason)
    return found


def _reason(value: ir.Value | None, ranges: Mapping[str, Range]) -> str | None:
    measured = ranges.get(value.name or "") if value is not None else None
    if measured is None or value is None:
        return None
    top = max(abs(measured.low), abs(measured.high))
    if top * _HEADROOM > LARGEST:
        return f"{value.name} reaches {top:.3g} on calibration data; float16 ends at {LARGEST:g}"
    if 0 < top < SMALLEST_NORMAL:
        return f"{value.name} never exceeds {top:.3g} on calibration data: float16 loses its bits"
    return None


def save_ranges(path: Path, source_sha256: str, ranges: Mapping[str, Range]) -> None:
    """Write measured ranges as JSON, atomically. Raises InputError when it cannot be written."""
    content = {
        "schema": _SCHEMA,
        "source_sha256": source_sha256,
        "ranges": {name: [float(r.low), float(r.high)] for name, r in ranges.items()},
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def load_ranges(path: Path, source_sha256: str) -> dict[str, Range]:
    """Ranges that were measured on this model.

    Raises InputError when the file is unreadable, no ranges file, or of another model.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content["schema"] != _SCHEMA:
            raise ValueError(f"schema {content['schema']}")
        sha256 = content["source_sha256"]
        ranges: dict[str, Range] = {
            name: Range(float(low), float(high)) for name, (low, high) in content["ranges"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: no readable ranges ({error}); write them by `fp16 --save-ranges`"
        ) from error
    if sha256 != source_sha256:
        raise InputError(
            f"{path}: measured on another model ({sha256[:12]}, this one is "
            f"{source_sha256[:12]}); measure again with --save-ranges"
        )
    return ranges
