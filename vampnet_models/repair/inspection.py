"""The user's first question about a model: what is it, and what is wrong with it?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from vampnet_models.family import Family
from vampnet_models.onnxfile.artifact import Artifact, load_model, open_artifact
from vampnet_models.onnxfile.operators import (
    ATTENTION_OPS,
    PRODUCT_OPS,
    RECURRENT_OPS,
    RESHAPING_OPS,
)
from vampnet_models.onnxfile.session import Array
from vampnet_models.records.results import Problem
from vampnet_models.repair.foreign import foreign_problems
from vampnet_models.repair.graph_problems import graph_problems
from vampnet_models.repair.training_mode import training_warning
from vampnet_models.repair.weights_survey import survey
from vampnet_models.spec import WEIGHTS_KEY

_PROTOBUF_LIMIT_BYTES = 2 * 1024**3
_MAX_LOADABLE_OPSET = 26
_MAX_LOADABLE_IR = 13
"""What ONNX Runtime 1.31 loads; newer exports fail with a message that names neither."""

_MIN_SAMPLED = 4096
_FRESH_STDS = (1.0, 0.02)
"""Of the normal distributions that embeddings are initialised with."""

_FRESH_SHARE = 0.1
"""Of a model's large weights: what a lost checkpoint leaves is far more than one of them."""


_MULTIPLY = PRODUCT_OPS | ATTENTION_OPS | {"Einsum", *RECURRENT_OPS}
"""What multiplies its constants with what comes in, so that one infinity reaches whole outputs."""

_PASS_ON = RESHAPING_OPS | {
    *("Transpose", "Cast", "DequantizeLinear", "Slice", "Concat", "Split"),
}


@dataclass(frozen=True)
class Inspection:
    """What `vampbench inspect` shows of one model."""

    path: str
    role: str
    part: str | None
    """Which piece of the split form it is, where it is one."""
    bytes: int
    sha256: str
    opset: int
    ir_version: int
    producer: str
    n_parameters: int
    weights: str
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]
    operators: dict[str, int]
    dtypes: dict[str, int]
    """Parameters by stored dtype."""
    problems: tuple[Problem, ...]
    family: Family | None = None
    """None where nothing tells it, and for models beside a chain."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def inspect_model(path: Path) -> Inspection:
    """Read a model's facts; run it only to learn which lengths it takes.

    Our own graphs are not run. Raises InputError when it cannot be read.
    """
    artifact = open_artifact(path)
    model = load_model(path)
    operators = Counter(
        f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        for node in model.graph.all_nodes()
    )
    dtypes: Counter[str] = Counter()
    for tensor in _parameters(model):
        dtypes[tensor.dtype.name.lower()] += math.prod(tensor.shape.numpy())
    return Inspection(
        path=str(path),
        role=artifact.role.value,
        part=artifact.spec.part.value if artifact.spec.part is not None else None,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        opset=artifact.spec.opset,
        ir_version=model.ir_version,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        n_parameters=sum(dtypes.values()),
        weights=model.metadata_props.get(WEIGHTS_KEY, "unknown"),
        inputs=tuple(asdict(t) for t in artifact.spec.inputs),
        outputs=tuple(asdict(t) for t in artifact.spec.outputs),
        operators=dict(operators.most_common()),
        dtypes=dict(dtypes.most_common()),
        problems=tuple(problems_of(artifact, model)),
        family=artifact.spec.family,
    )


def problems_of(artifact: Artifact, model: ir.Model) -> list[Problem]:
    """What is known to be wrong with a model: its weights, its graph, its interface."""
    found = foreign_problems(artifact, model)
    found += graph_problems(artifact.path)
    training = training_warning(model)
    if training is not None:
        found.append(Problem("training-mode", training))
    if artifact.path.stat().st_size > _PROTOBUF_LIMIT_BYTES:
        found.append(Problem("over-2-gb", "the file is over protobuf's 2 GB: use external data"))
    if artifact.spec.opset > _MAX_LOADABLE_OPSET or model.ir_version > _MAX_LOADABLE_IR:
        text = (
            f"opset {artifact.spec.opset} / IR {model.ir_version}: ONNX Runtime loads at most "
            f"{_MAX_LOADABLE_OPSET} / {_MAX_LOADABLE_IR}: export with an older opset"
        )
        found.append(Problem("too-new", text))
    if model.metadata_props.get(WEIGHTS_KEY) == "seeded":
        text = "seeded random weights: agreement on them is not an accuracy claim"
        found.append(Problem("seeded-weights", text))
    return found + _of_weights(model)


def _of_weights(model: ir.Model) -> list[Problem]:
    """What one pass over all values finds: NaN, infinity where it multiplies, fresh weights."""
    found: list[Problem] = []
    spoiled, infinite, fresh = [], [], []
    multiplied, n_large = _multiplied(model), 0
    for name, tensor in _named_tensors(model):
        # Stored in fewer bits they count among the many: what quantizing left is no sample.
        large = _is_large_matrix(tensor)
        sampled = large and tensor.dtype is ir.DataType.FLOAT
        n_large += large
        seen, size = survey(tensor, sampled=sampled), math.prod(tensor.shape.numpy())
        if seen.n_nan:
            spoiled.append(f"{name} ({seen.n_nan:,} of {size:,} values)")
        if seen.n_infinite and name in multiplied:
            infinite.append(f"{name} ({seen.n_infinite:,} of {size:,} values)")
        if sampled and seen.finite and _looks_fresh(tensor.shape.numpy(), seen.sample):
            fresh.append(name)
    if spoiled:
        text = f"NaN in {_some(spoiled)}: whatever they touch is NaN; train or export it again"
        found.append(Problem("nan-weights", text, fatal=True))
    if infinite:
        text = f"infinity in {_some(infinite)}, which products and convolutions multiply with"
        found.append(Problem("infinite-weights", text, fatal=True))
    # A few of many are chance: small kernels move little in training.
    if fresh and len(fresh) >= _FRESH_SHARE * n_large:
        text = (
            f"{len(fresh)} of {n_large} large weights look freshly initialised, never trained "
            f"({_some(fresh)})"
        )
        found.append(Problem("random-looking-weights", text))
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _multiplied(model: ir.Model) -> set[str]:
    """Names of the constants that products and convolutions take, by way of what only moves."""
    found: set[str] = set()
    constants = [v for graph in model.graphs() for v in graph.initializers.values()]
    constants += [n.outputs[0] for n in _nodes(model) if n.op_type == "Constant" and n.outputs]
    for constant in constants:
        values, seen = [constant], {id(constant)}
        while values:
            for node, _ in values.pop().uses():
                if node.op_type in _MULTIPLY:
                    found.add(constant.name or "")
                elif node.op_type in _PASS_ON:
                    values += [v for v in node.outputs if id(v) not in seen]
                    seen.update(id(v) for v in node.outputs)
    return found


def _is_large_matrix(tensor: ir.TensorProtocol) -> bool:
    shape = tensor.shape.numpy()
    return len(shape) >= 2 and math.prod(shape) >= _MIN_SAMPLED


def _looks_fresh(shape: Sequence[int], sample: Array) -> bool:
    """Whether a matrix has the exact distribution of torch's default initialisations.

    nn.Embedding draws N(0, 1), many transformers N(0, 0.02); nn.Linear and convolutions draw
    U(-b, b) with b = 1 / sqrt(fan_in), or Xavier's sqrt(6 / (fan_in + fan_out)). Training moves
    both the scale and the kurtosis away from these.
    """
    std = float(sample.std())
    if std == 0:
        return False
    kurtosis = float(np.mean(((sample - sample.mean()) / std) ** 4))
    noise = 6 * math.sqrt(24 / sample.size)
    # Of n normal values the deviation itself deviates by 1 / sqrt(2 n).
    near = max(0.01, 4 / math.sqrt(2 * sample.size))
    if abs(kurtosis - 3) < noise and any(abs(std / fresh - 1) < near for fresh in _FRESH_STDS):
        return True
    fans = [math.prod(shape) / d for d in (shape[0], shape[-1])]
    bounds = [*(1 / math.sqrt(fan) for fan in fans), math.sqrt(6 / sum(fans))]
    return abs(kurtosis - 1.8) < noise and any(
        abs(std * math.sqrt(3) / bound - 1) < 0.01 for bound in bounds
    )


def _named_tensors(model: ir.Model) -> Iterator[tuple[str, ir.TensorProtocol]]:
    """Every tensor that the file holds with its name: weights of all graphs, and attributes."""
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            if value.const_value is not None:
                yield name, value.const_value
    for node in _nodes(model):
        for attribute in node.attributes.values():
            if attribute.type is ir.AttributeType.TENSOR and not attribute.is_ref():
                names = (*(value.name for value in node.outputs), node.name, node.op_type)
                yield next(filter(None, names)), attribute.as_tensor()


def _parameters(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    """Weights, whether they stand as initializers or as Constant nodes."""
    values = [v.const_value for graph in model.graphs() for v in graph.initializers.values()]
    yield from (tensor for tensor in values if tensor is not None)
    for node in _nodes(model):
        if node.op_type == "Constant" and "value" in node.attributes:
            yield node.attributes["value"].as_tensor()


def _nodes(model: ir.Model) -> Iterator[ir.Node]:
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()
