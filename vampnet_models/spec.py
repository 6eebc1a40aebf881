"""What a model is: its role, its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import onnx_ir as ir

OPSET = 21
"""The ai.onnx opset that we write: the first with block-wise and INT4 DequantizeLinear."""

IR_VERSION = 10
"""The ONNX IR version that belongs to opset 21; newer defaults do not load in ONNX Runtime."""

SAMPLE_RATE_HZ = 44_100
HOP_SAMPLES = 768
N_CODEBOOKS = 14
N_COARSE_CODEBOOKS = 4
CODEBOOK_SIZE = 1024
MASK_TOKEN = 1024
N_BEAT_OUTPUTS = 2
"""Beat and downbeat."""

ROLE_KEY = "vampbench.role"
CONFIG_KEY = "vampbench.config"
WEIGHTS_KEY = "vampbench.weights"
"""Model metadata: `trained`, `imported` or `seeded` (random weights: not an accuracy claim)."""


class Role(StrEnum):
    """What a model does in the chain; the value is what results and options call it."""

    CODEC_ENCODER = "codec-encoder"
    CODEC_DECODER = "codec-decoder"
    COARSE = "coarse"
    C2F = "c2f"
    BEATS = "beats"
    GENERIC = "generic"


CHAIN_ROLES = (Role.CODEC_ENCODER, Role.COARSE, Role.C2F, Role.CODEC_DECODER)
"""The four roles in the order in which a sound passes through them."""

FILE_STEMS = {
    Role.CODEC_ENCODER: "codec_encoder",
    Role.CODEC_DECODER: "codec_decoder",
    Role.COARSE: "coarse",
    Role.C2F: "c2f",
    Role.BEATS: "wavebeat",
}


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output. A `str` dimension is symbolic; `None` is unknown."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A model's role and interface."""

    role: Role
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int

    def input(self, name: str) -> TensorSpec:
        """The input of that name; KeyError when there is none."""
        return next_named(self.inputs, name)

    def output(self, name: str) -> TensorSpec:
        """The output of that name; KeyError when there is none."""
        return next_named(self.outputs, name)


def next_named(tensors: tuple[TensorSpec, ...], name: str) -> TensorSpec:
    """The tensor of that name; KeyError when there is none."""
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    raise KeyError(name)


def spec_of(model: ir.Model) -> ModelSpec:
    """Read the interface of a graph and recognise its role by that interface."""
    initializers = set(model.graph.initializers)
    inputs = tuple(_tensor(v) for v in model.graph.inputs if v.name not in initializers)
    outputs = tuple(_tensor(v) for v in model.graph.outputs)
    return ModelSpec(
        role=recognise(inputs, outputs),
        inputs=inputs,
        outputs=outputs,
        opset=model.opset_imports.get("", 0),
    )


def recognise(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> Role:
    """The role that this interface has; GENERIC when it is none of ours.

    Names are only used to tell `codes` from `mask`; ranks, dtypes and the number of
    codebooks decide.
    """
    if not inputs or not outputs:
        return Role.GENERIC
    first, answer = inputs[0], outputs[0]
    if len(inputs) == 1 and len(first.shape) == 3:
        if first.dtype.startswith("float") and first.shape[1] == 1 and answer.dtype == "int64":
            return Role.CODEC_ENCODER
        if (
            first.dtype.startswith("float")
            and first.shape[1] == 1
            and answer.dtype.startswith("float")
            and len(answer.shape) == 3
            and answer.shape[1] == N_BEAT_OUTPUTS
        ):
            return Role.BEATS
        if (
            first.dtype == "int64"
            and answer.dtype.startswith("float")
            and len(answer.shape) == 3
            and answer.shape[1] == 1
        ):
            return Role.CODEC_DECODER
    if len(inputs) == 2 and {tensor.name for tensor in inputs} == {"codes", "mask"}:
        codebooks = next_named(inputs, "codes").shape[1]
        if codebooks == N_COARSE_CODEBOOKS:
            return Role.COARSE
        if codebooks == N_CODEBOOKS:
            return Role.C2F
    return Role.GENERIC


def _tensor(value: ir.Value) -> TensorSpec:
    shape: tuple[int | str | None, ...] = ()
    if value.shape is not None:
        shape = tuple(d if isinstance(d, int) else d.value for d in value.shape)
    dtype = value.dtype.numpy().name if value.dtype is not None else "unknown"
    return TensorSpec(name=value.name or "", dtype=dtype, shape=shape)
