"""What a model is: its role, its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import onnx_ir as ir

from vampnet_models.family import VAMPNET
from vampnet_models.structure import codebooks_read, operators_of

OPSET = 21
"""The ai.onnx opset that we write: the first with block-wise and INT4 DequantizeLinear."""

IR_VERSION = 10
"""The ONNX IR version that belongs to opset 21; newer defaults do not load in ONNX Runtime."""

TENSOR, SEQUENCE, OPTIONAL, OTHER = "tensor", "sequence", "optional", "other"
"""The forms of a graph's inputs and outputs."""

_FORMS = (
    (ir.SequenceType, SEQUENCE),
    (ir.OptionalType, OPTIONAL),
    (ir.TensorType | type(None), TENSOR),
)

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


class Part(StrEnum):
    """A piece of the split form that one exporter cuts the four models into."""

    COARSE_EMBEDDINGS = "coarse embeddings (codes to latents)"
    C2F_EMBEDDINGS = "c2f embeddings (codes to latents)"
    COARSE_TRANSFORMER = "coarse transformer (latents to logits)"
    C2F_TRANSFORMER = "c2f transformer (latents to logits)"
    ENCODER = "codec encoder (audio to features)"
    QUANTIZER = "codec quantizer (features to codes)"
    FROM_CODES = "codec look-up (codes to features)"
    DECODER = "codec decoder (features to audio)"


FILE_STEMS = {
    Role.CODEC_ENCODER: "codec_encoder",
    Role.CODEC_DECODER: "codec_decoder",
    Role.COARSE: "coarse",
    Role.C2F: "c2f",
    Role.BEATS: "wavebeat",
}


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output. A `str` dimension is symbolic; `None` is unknown.

    `form` is `tensor`, or `sequence`, `optional` or `other` around elements of this type and shape.
    Without `ranked` nothing is known of the shape, which then is `()` like a scalar's.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    form: str = TENSOR
    ranked: bool = True

    @property
    def described(self) -> str:
        """Type and shape for people: `float32 [1, n]`, `sequence of float32 [?]`."""
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        text = f"{self.dtype} [{sizes}]" if self.ranked else f"{self.dtype} of unknown shape"
        return text if self.form == TENSOR else f"{self.form} of {text}"


@dataclass(frozen=True)
class ModelSpec:
    """A model's role and interface; `part` names a piece of the split form."""

    role: Role
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    part: Part | None = None

    def input(self, name: str) -> TensorSpec:
        """The input of that name; KeyError when there is none."""
        return _next_named(self.inputs, name)

    def output(self, name: str) -> TensorSpec:
        """The output of that name; KeyError when there is none."""
        return _next_named(self.outputs, name)


def _next_named(tensors: tuple[TensorSpec, ...], name: str) -> TensorSpec:
    """The tensor of that name; KeyError when there is none."""
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    raise KeyError(name)


@dataclass(frozen=True)
class TransformerInputs:
    """Which input is which; `scalars` (a temperature) are the others, of one element each."""

    codes: TensorSpec
    mask: TensorSpec
    scalars: tuple[TensorSpec, ...]


def spec_of(model: ir.Model) -> ModelSpec:
    """Read the interface of a graph and recognise its role by that interface and its structure."""
    graph = model.graph
    inputs = tuple(_input(v) for v in graph.inputs if v.name not in graph.initializers)
    outputs = tuple(_tensor(v) for v in graph.outputs)
    operators = operators_of(graph)
    role = recognise(inputs, outputs, operators)
    return ModelSpec(
        role=role,
        inputs=inputs,
        outputs=outputs,
        opset=model.opset_imports.get("", 0),
        part=part_of(inputs, outputs, operators) if role is Role.GENERIC else None,
    )


def recognise(
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    operators: frozenset[str] = frozenset(),
) -> Role:
    """The role that this interface has; GENERIC when it is none of ours.

    Ranks, dtypes and the number of codebooks decide, and where an axis is declared without a
    size, the operators. Names only tell `codes` from an integer `mask`.
    """
    if not inputs or not outputs or any(t.form != TENSOR for t in (*inputs, *outputs)):
        return Role.GENERIC
    first, answer = inputs[0], outputs[0]
    if len(inputs) == 1 and len(first.shape) == 3 and len(answer.shape) == 3:
        channels = answer.shape[1]
        if first.dtype.startswith("float") and first.shape[1] == 1:
            if answer.dtype == "int64":
                return Role.CODEC_ENCODER
            if answer.dtype.startswith("float") and channels == N_BEAT_OUTPUTS:
                return Role.BEATS
        if first.dtype == "int64" and answer.dtype.startswith("float"):
            unknown = not isinstance(channels, int)
            if channels == 1 or (unknown and "ConvTranspose" in operators):
                return Role.CODEC_DECODER
    transformer = transformer_inputs(inputs)
    if transformer is not None:
        by_codebooks = {VAMPNET.n_coarse_codebooks: Role.COARSE, VAMPNET.n_codebooks: Role.C2F}
        return by_codebooks.get(_size(transformer.codes.shape[1]), Role.GENERIC)
    return Role.GENERIC


def transformer_inputs(inputs: tuple[TensorSpec, ...]) -> TransformerInputs | None:
    """The inputs of a transformer that takes codes and a mask; None when it is no such thing.

    Both are `[batch, n, frames]`. A boolean or float one is the mask; of two integer ones, the
    one with `mask` in its name.
    """
    scalars = tuple(t for t in inputs if t.ranked and t.shape in ((), (1,)))
    pair = [t for t in inputs if len(t.shape) == 3]
    if len(pair) != 2 or len(pair) + len(scalars) != len(inputs):
        return None
    masks = [t for t in pair if t.dtype == "bool" or t.dtype.startswith("float")]
    masks = masks or [t for t in pair if "mask" in t.name.lower()]
    codes = [t for t in pair if t not in masks and t.dtype in ("int64", "int32")]
    if len(masks) != 1 or len(codes) != 1 or masks[0].shape[1] not in (codes[0].shape[1], None):
        return None
    return TransformerInputs(codes[0], masks[0], scalars)


_PHASE_OPS = frozenset({"Cos", "CumSum"})
"""Beside these a sine is that of a phase or a position, not a Snake's."""


def part_of(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], operators: frozenset[str]
) -> Part | None:
    """The piece of the split form that a model is, by its interface and its operators."""
    if len(inputs) != 1 or not outputs or len(inputs[0].shape) != 3:
        return None
    if any(t.form != TENSOR for t in (*inputs, *outputs)):
        return None
    source, answer = inputs[0], outputs[0]
    if not answer.dtype.startswith("float") or len(answer.shape) not in (0, 3):
        return None
    n, width = _size(source.shape[1]), _size(answer.shape[1]) if answer.shape else 0
    if source.dtype == "int64":
        if operators & {"Conv", "MatMul", "Gemm"}:
            return Part.FROM_CODES if "Softmax" not in operators else None
        if "Gather" not in operators or (width and width % max(n, 1)):
            return None
        return {
            VAMPNET.n_coarse_codebooks: Part.COARSE_EMBEDDINGS,
            VAMPNET.n_codebooks: Part.C2F_EMBEDDINGS,
        }.get(n)
    if not source.dtype.startswith("float"):
        return None
    if "Softmax" in operators:
        return {
            VAMPNET.n_coarse_codebooks * VAMPNET.codebook_dim: Part.COARSE_TRANSFORMER,
            VAMPNET.n_codebooks * VAMPNET.codebook_dim: Part.C2F_TRANSFORMER,
        }.get(n)
    has_snake = "Sin" in operators and operators.isdisjoint(_PHASE_OPS)
    if n == 1:
        return Part.ENCODER if has_snake and width != 1 else None
    if operators & {"ArgMin", "ArgMax", "TopK"}:
        return Part.QUANTIZER
    # Snake's sine tells a codec's decoder from any other network that ends in one channel.
    return Part.DECODER if has_snake and "ConvTranspose" in operators and width in (0, 1) else None


def _size(dimension: int | str | None) -> int:
    """The size of an axis; 0 when it is not fixed."""
    return dimension if isinstance(dimension, int) else 0


def _input(value: ir.Value) -> TensorSpec:
    """An input, with its number of codebooks read off the graph where it is not declared."""
    tensor = _tensor(value)
    if tensor.dtype not in ("int64", "int32") or len(tensor.shape) != 3:
        return tensor
    if isinstance(tensor.shape[1], int):
        return tensor
    found = codebooks_read(value)
    if found is None:
        return tensor
    return replace(tensor, shape=(tensor.shape[0], found, tensor.shape[2]))


def _tensor(value: ir.Value) -> TensorSpec:
    shape: tuple[int | str | None, ...] = ()
    if value.shape is not None:
        shape = tuple(d if isinstance(d, int) else d.value for d in value.shape)
    return TensorSpec(
        name=value.name or "",
        dtype=_dtype(value.dtype),
        shape=shape,
        form=next((name for kind, name in _FORMS if isinstance(value.type, kind)), OTHER),
        ranked=value.shape is not None,
    )


def _dtype(dtype: ir.DataType | None) -> str:
    """numpy's name of a type; `string` and `unknown` have none."""
    if dtype is None or dtype is ir.DataType.UNDEFINED:
        return "unknown"
    return "string" if dtype is ir.DataType.STRING else str(dtype.numpy().name)
