"""The user's first question about a model: what is it, and what is wrong with it?"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from vampnet_models.artifact import Artifact, load_model, open_artifact
from vampnet_models.foreign import Problem, foreign_problems
from vampnet_models.spec import WEIGHTS_KEY
from vampnet_models.training_mode import training_warning

PROTOBUF_LIMIT_BYTES = 2 * 1024**3
MAX_LOADABLE_OPSET = 26
MAX_LOADABLE_IR = 13
"""What ONNX Runtime 1.31 loads; newer exports fail with a message that names neither."""

MIN_SAMPLED = 4096
SAMPLE_VALUES = 200_000
FRESH_STDS = (1.0, 0.02)
"""Of the normal distributions that embeddings are initialised with."""


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
    for tensor in _tensors(model):
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
    )


def problems_of(artifact: Artifact, model: ir.Model) -> list[Problem]:
    """What is known to be wrong with a model: its weights, its graph, its interface."""
    found = foreign_problems(artifact, model)
    untyped = sum(
        value.dtype is None or value.shape is None
        for node in model.graph.all_nodes()
        for value in node.outputs
        if value.name
    )
    if untyped:
        text = f"{untyped} values have no type or shape: run shape inference before converting"
        found.append(Problem("missing-value-info", text))
    training = training_warning(model)
    if training is not None:
        found.append(Problem("training-mode", training))
    if artifact.path.stat().st_size > PROTOBUF_LIMIT_BYTES:
        found.append(Problem("over-2-gb", "the file is over protobuf's 2 GB: use external data"))
    if artifact.spec.opset > MAX_LOADABLE_OPSET or model.ir_version > MAX_LOADABLE_IR:
        text = (
            f"opset {artifact.spec.opset} / IR {model.ir_version}: ONNX Runtime loads at most "
            f"{MAX_LOADABLE_OPSET} / {MAX_LOADABLE_IR}: export with an older opset"
        )
        found.append(Problem("too-new", text))
    if model.metadata_props.get(WEIGHTS_KEY) == "seeded":
        text = "seeded random weights: agreement on them is not an accuracy claim"
        found.append(Problem("seeded-weights", text))
    fresh = [name for name, value in model.graph.initializers.items() if _looks_fresh(value)]
    # One weight of a model that says it was trained is chance: small kernels move little.
    by_chance = 1 if model.metadata_props.get(WEIGHTS_KEY) == "trained" else 0
    if len(fresh) > by_chance:
        text = (
            f"{len(fresh)} weights look freshly initialised, never trained "
            f"({', '.join(fresh[:3])}{', ...' if len(fresh) > 3 else ''})"
        )
        found.append(Problem("random-looking-weights", text))
    return found


def _looks_fresh(value: ir.Value) -> bool:
    """Whether a matrix has the exact distribution of torch's default initialisations.

    nn.Embedding draws N(0, 1), many transformers N(0, 0.02); nn.Linear and convolutions draw
    U(-b, b) with b = 1 / sqrt(fan_in), or Xavier's sqrt(6 / (fan_in + fan_out)). Training moves
    both the scale and the kurtosis away from these.
    """
    tensor = value.const_value
    if tensor is None or tensor.dtype is not ir.DataType.FLOAT:
        return False
    shape = tensor.shape.numpy()
    if len(shape) < 2 or math.prod(shape) < MIN_SAMPLED:
        return False
    values = tensor.numpy()
    step = max(1, values.size // SAMPLE_VALUES)
    sample = values.reshape(-1)[::step].astype(np.float64)
    std = float(sample.std())
    if std == 0:
        return False
    kurtosis = float(np.mean(((sample - sample.mean()) / std) ** 4))
    noise = 6 * math.sqrt(24 / sample.size)
    # Of n normal values the deviation itself deviates by 1 / sqrt(2 n).
    near = max(0.01, 4 / math.sqrt(2 * sample.size))
    if abs(kurtosis - 3) < noise and any(abs(std / fresh - 1) < near for fresh in FRESH_STDS):
        return True
    fans = [math.prod(shape) / d for d in (shape[0], shape[-1])]
    bounds = [*(1 / math.sqrt(fan) for fan in fans), math.sqrt(6 / sum(fans))]
    return abs(kurtosis - 1.8) < noise and any(
        abs(std * math.sqrt(3) / bound - 1) < 0.01 for bound in bounds
    )


def _tensors(model: ir.Model) -> list[ir.TensorProtocol]:
    initializers = [v.const_value for v in model.graph.initializers.values()]
    constants = [
        node.attributes["value"].as_tensor()
        for node in model.graph.all_nodes()
        if node.op_type == "Constant" and "value" in node.attributes
    ]
    return [t for t in (*initializers, *constants) if t is not None]
