"""The runtime's own optimized graph, read back, and each of its kernels mapped to the variant."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import onnx_ir as ir

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, load_model, staging_beside
from vampnet_models.onnxfile.operators import PRODUCT_OPS
from vampnet_models.onnxfile.session import open_session

_EXTERNAL = {
    "session.optimized_model_external_initializers_file_name": "graph.weights",
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
}
"""Weights go straight from the session's memory to a file of their own, never into protobuf."""

_LARGEST_GROWTH = 2
"""Weights double when float16 is upcast."""

_PREFIXES = ("InsertedPrecisionFreeCast_", "FusedBack_")
_SUFFIX = re.compile(r"(_token_\d+|/duplicated|/MatMulScaleFusion/)$")


@dataclass(frozen=True)
class RuntimeGraph:
    """The optimized graph, and what it took on disk."""

    model: ir.Model
    bytes: int


@contextmanager
def runtime_graph(
    artifact: Artifact, config: Mapping[str, str] | None = None
) -> Iterator[RuntimeGraph]:
    """Let the runtime optimize a model for the CPU and read its graph back.

    `config` holds the session configuration entries that the application sets.

    The graph lies in a hidden folder beside the model, its weights in a memory-mapped file, until
    the context ends. Raises InputError when the model does not load, when the folder cannot be
    written, or when the disk has too little room for the weights.
    """
    path = artifact.path
    with staging_beside(path) as folder:
        needed, free = _LARGEST_GROWTH * artifact.bytes, shutil.disk_usage(folder).free
        if free < needed:
            raise InputError(
                f"{path.parent}: the runtime's graph needs up to {needed / 1e9:.2f} GB for a "
                f"moment, {free / 1e9:.2f} GB are free; free space there"
            )
        written = folder / "graph.onnx"
        settings = {**(config or {}), **_EXTERNAL}
        open_session(path, optimized_path=written, config=settings, portable_instead=False)
        size = sum(file.stat().st_size for file in folder.iterdir())
        yield RuntimeGraph(load_model(written), size)


class Origins:
    """Finds the variant's node that a kernel of the optimized graph came from."""

    def __init__(self, variant: ir.Graph) -> None:
        self._by_name: dict[str, ir.Node] = {}
        self._by_weight: dict[str, ir.Node | None] = {}
        for node in variant:
            if node.op_type not in PRODUCT_OPS:
                continue
            self._by_name[node.name or ""] = node
            for name in _weights(node):
                # A weight that two nodes share identifies neither.
                self._by_weight[name] = None if name in self._by_weight else node

    def of(self, kernel: ir.Node) -> ir.Node | None:
        """The node of the same name, or else the one of the same weight; None when unknown."""
        found = self._by_name.get(plain_name(kernel.name or ""))
        if found is not None:
            return found
        owners = (self._by_weight.get(plain_name(name)) for name in _weights(kernel))
        return next((owner for owner in owners if owner is not None), None)


def plain_name(name: str) -> str:
    """A name without what the runtime adds to it."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return _SUFFIX.sub("", name)


def stored_weight(value: ir.Value | None) -> ir.Value | None:
    """The initializer that a value is, or is dequantized from; None for an activation."""
    producer = value.producer() if value is not None else None
    if producer is not None and producer.op_type == "DequantizeLinear":
        value = producer.inputs[0]
    return value if value is not None and value.is_initializer() else None


def _weights(node: ir.Node) -> list[str]:
    """The names of a product's constant matrices: initializers of two axes and more."""
    stored = (stored_weight(value) for value in node.inputs)
    return [v.name or "" for v in stored if v is not None and v.shape and len(v.shape) > 1]
