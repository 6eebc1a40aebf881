"""ORT-format files for a bundle, and the operators that a reduced build of the runtime needs.

An app with a minimal build of ONNX Runtime loads ORT-format files alone; a reduced build has only
the operators of `required_operators.config` (ONNX Runtime's `--include_ops_by_config`).
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from profiles.count.packaging import UNFOLDED, to_ort
from vampnet_models.onnxfile.artifact import Artifact, load_model

CONFIG = "required_operators.config"

_Operators = Mapping[str, Iterable[str]]
"""Names by `domain;opset`, as the configuration file has them."""


@dataclass(frozen=True)
class Shipped:
    """How one model ships. `path` is its ORT-format file, None where the .onnx file ships for the
    given `reason`. `operators` are those that the runtime needs for the file that ships."""

    path: Path | None
    bytes: int | None
    operators: _Operators
    reason: str | None


def in_ort_format(artifact: Artifact, folder: Path) -> Shipped:
    """Convert below `folder`; the .onnx file ships where that fails or unfolds the weights.

    A processor without kernels for float16 makes files whose weights are float32: those are
    larger than the model, and would compute in float32 on a phone as well.
    """
    out = folder / f"{artifact.name}.ort"
    made = to_ort(artifact.files, artifact.bytes, keep=out)
    reason = made.reason
    larger = made.bytes is not None and made.bytes > UNFOLDED * artifact.bytes
    if made.bytes is not None and larger and _has_float16(artifact.path):
        reason = (
            f"{made.bytes / artifact.bytes:.1f} times as large in ORT format: this processor "
            f"({platform.machine()}) has no float16 kernels and unfolds the weights to float32; "
            "convert on ARM64"
        )
    if reason is None:
        return Shipped(out, made.bytes, made.operators, None)
    operators = _merged([made.operators, _of_graph(artifact.path)])
    return Shipped(None, made.bytes, operators, reason)


def config_text(shipped: Iterable[_Operators]) -> str:
    """The reduced-build configuration of all models together."""
    lines = ["# domain;opset;operators: what these models need of ONNX Runtime"]
    lines += [f"{key};{','.join(names)}" for key, names in _merged(shipped).items()]
    return "\n".join(lines) + "\n"


def _merged(all_operators: Iterable[_Operators]) -> dict[str, tuple[str, ...]]:
    """The union, sorted."""
    found: dict[str, set[str]] = {}
    for operators in all_operators:
        for key, names in operators.items():
            found.setdefault(key, set()).update(names)
    return {key: tuple(sorted(names)) for key, names in sorted(found.items())}


def _has_float16(path: Path) -> bool:
    values = load_model(path).graph.initializers.values()
    return any(value.dtype == ir.DataType.FLOAT16 for value in values)


def _of_graph(path: Path) -> dict[str, set[str]]:
    """The operators of an .onnx file, before the runtime's optimizer."""
    model = load_model(path)
    found: dict[str, set[str]] = {}
    graphs = [model.graph, *(function.graph for function in model.functions.values())]
    for node in (node for graph in graphs for node in graph):
        domain = node.domain or "ai.onnx"
        opset = model.opset_imports.get(node.domain, 1)
        found.setdefault(f"{domain};{opset}", set()).add(node.op_type)
    return found
