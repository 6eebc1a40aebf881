"""Tiny graphs written as text, and what the runtime makes of them."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from optimize.precision.contract import (
    NO_TRAITS,
    Conversion,
    Evidence,
    MomentsOf,
    Plan,
    Precision,
    RangeLike,
    Traits,
)
from optimize.precision.exact import ask_for_exact_products
from optimize.surgery.graph import infer_shapes
from optimize.surgery.stand_ins import restore
from vampnet_models.onnxfile.operators import ONLY_IN_RUNTIME_OPS
from vampnet_models.onnxfile.session import Feeds, open_session

Array = NDArray[Any]
HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> g '


def model(text: str, **weights: Array) -> ir.Model:
    """A model from ONNX text `(inputs) => (outputs) { nodes }` and arrays by initializer name."""
    proto = onnx.parser.parse_model(HEADER + text)
    for name, values in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), name))
    made = ir.from_proto(proto)
    for index, node in enumerate(made.graph):
        node.name = node.name or f"{node.op_type.lower()}_{index}"
    infer_shapes(made)
    return made


def run(made: ir.Model, feeds: Feeds) -> Feeds:
    """All outputs."""
    return open_session(ir.to_proto(made).SerializeToString()).run(feeds)


def ops(made: ir.Model) -> Counter[str]:
    """Nodes by operator."""
    return Counter(node.op_type for node in made.graph)


def runtime_ops(made: ir.Model, folder: Path) -> Counter[str]:
    """Nodes by operator of the runtime's own optimized graph."""
    path = folder / "optimized.onnx"
    open_session(ir.to_proto(made).SerializeToString(), optimized_path=path)
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def check(made: ir.Model) -> None:
    """ONNX's own checker, with ONNX Runtime's operators of the default domain renamed."""
    proto = ir.to_proto(made)
    for node in proto.graph.node:
        if node.op_type in ONLY_IN_RUNTIME_OPS:
            node.domain = "com.microsoft"
    if not any(o.domain == "com.microsoft" for o in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.checker.check_model(proto, full_check=True)


def snr_db(expected: Array, found: Array) -> float:
    """Signal to noise; infinite for equal values."""
    noise = np.mean(np.square(expected.astype(np.float64) - found))
    signal = np.mean(np.square(expected, dtype=np.float64))
    return float(10 * np.log10(signal / noise)) if noise > 0 else float("inf")


def dequantize(values: Array, scales: Array, axis: int, block: int | None = None) -> Array:
    """What DequantizeLinear computes: per channel, or per block along `axis`."""
    if block is not None:
        expanded = np.repeat(scales, block, axis=axis)
        wide = np.take(expanded, np.arange(values.shape[axis]), axis=axis)
        return (values * wide).astype(np.float32)
    shape = [1] * values.ndim
    shape[axis] = -1
    return (values * scales.reshape(shape)).astype(np.float32)


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Normal noise."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def convert(
    made: ir.Model,
    precision: Precision[Any],
    ranges: Mapping[str, RangeLike] = MappingProxyType({}),
    *,
    moments_of: MomentsOf | None = None,
    traits: Traits = NO_TRAITS,
) -> Conversion:
    """What `optimize.build` does with a precision, of ranges and moments that are known."""
    plan = precision.plan(made.graph, traits)
    done = precision.apply(made, plan, Evidence(ranges, moments_of))
    restore(made)
    ask_for_exact_products(made)
    return done


@dataclass(frozen=True)
class Doing(Precision[Plan]):
    """A precision that changes a model as a test says, and calls that one integer node."""

    change: Callable[[ir.Model], None]

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """Nothing that it would tell."""
        return Plan((), (), traits=traits)

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """The change."""
        self.change(model)
        return Conversion({"int8": 1})
