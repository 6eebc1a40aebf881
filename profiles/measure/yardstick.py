"""A fixed workload that is timed in every round, beside the variants.

Two profiles of one variant differ where the machine itself was faster or slower then: another
clock, a neighbour behind the same caches. The yardstick is the same file each time, so how its
time has changed tells the machine's part from the variant's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vampnet_models.spec import IR_VERSION, OPSET

NAME = "yardstick"
_ROWS, _WIDTH, _LAYERS = 160, 512, 4
"""About a millisecond on two cores: products, softmax and sums, 0.34 GFLOP on 4 MB of weights."""


def write_yardstick(folder: Path) -> tuple[Path, Path]:
    """Write the model and its feeds, the same bytes each time; their paths."""
    rng = np.random.default_rng(0)
    scale = np.float32(_WIDTH**-0.5)
    nodes, weights = [], []
    x = "x"
    for i in range(_LAYERS):
        weight = rng.standard_normal((_WIDTH, _WIDTH), np.float32) * scale
        weights.append(numpy_helper.from_array(weight, f"w{i}"))
        nodes += [
            helper.make_node("MatMul", [x, f"w{i}"], [f"product{i}"]),
            helper.make_node("Softmax", [f"product{i}"], [f"share{i}"]),
            helper.make_node("Add", [f"product{i}", f"share{i}"], [f"sum{i}"]),
        ]
        x = f"sum{i}"
    shape = [_ROWS, _WIDTH]
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
        weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    path, feeds = folder / f"{NAME}.onnx", folder / f"{NAME}.npz"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), path)
    np.savez(feeds, x=rng.standard_normal(shape, np.float32))
    return path, feeds
