"""Graphs of a few nodes, made where a test needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vampnet_models.spec import IR_VERSION, OPSET

FLOAT = TensorProto.FLOAT


def tensor(name: str, shape: Sequence[int | str | None] | None, dtype: int = FLOAT) -> Any:
    """A graph input or output; None for a shape that is not declared."""
    return helper.make_tensor_value_info(name, dtype, shape)


def write(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = OPSET,
    domains: Sequence[str] = (),
) -> Path:
    """Write a graph; what it holds is not checked."""
    initializers = [numpy_helper.from_array(v, k) for k, v in (weights or {}).items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION), path)
    return path


def product(path: Path, seed: int = 0, width: int = 64) -> Path:
    """`x float32 [n, width]` -> `y [n, width]`, one MatMul of a trained-looking weight."""
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal((width, width)) * rng.uniform(0.01, 0.2, width)).astype("f4")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    return write(
        path, [node], [tensor("x", ["n", width])], [tensor("y", ["n", width])], {"w": weight}
    )


def codec_decoder(path: Path, codebook_size: int = 512, n_codebooks: int = 4) -> Path:
    """`codes int64 [b, n_codebooks, n]` -> `audio [b, 1, t]`, 16 samples a frame: a table each."""
    rng = np.random.default_rng(0)
    weights = {"kernel": 0.1 * rng.standard_normal((8, 1, 16)).astype("f4")}
    nodes, rows = [], []
    for i in range(n_codebooks):
        weights[f"at{i}"] = np.array(i, np.int64)
        weights[f"table{i}"] = rng.standard_normal((codebook_size, 8)).astype("f4")
        nodes.append(helper.make_node("Gather", ["codes", f"at{i}"], [f"codes{i}"], axis=1))
        nodes.append(helper.make_node("Gather", [f"table{i}", f"codes{i}"], [f"rows{i}"], axis=0))
        rows.append(f"rows{i}")
    nodes += [
        helper.make_node("Sum", rows, ["sum"]),
        helper.make_node("Transpose", ["sum"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("ConvTranspose", ["columns", "kernel"], ["audio"], strides=[16]),
    ]
    codes = tensor("codes", ["b", n_codebooks, "n"], TensorProto.INT64)
    return write(path, nodes, [codes], [tensor("audio", ["b", 1, "t"])], weights)
