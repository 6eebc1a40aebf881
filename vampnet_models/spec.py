"""What a model is: its role, its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import onnx_ir as ir

from vampnet_models.errors import InputError
from vampnet_models.family import (
    FAMILIES,
    FAMILY_KEY,
    TYPICAL,
    Family,
    known_codec,
    read_family,
)
from vampnet_models.structure import codebook_size_read, codebooks_read, hop_read, operators_of

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
    """A model's role and interface.

    `part` names a piece of the split form. `family` is what its metadata says, or what is known of
    a codec like it; None where nothing tells it, and for models that belong to no chain. `hop` is
    the samples per frame by a codec's strides, None where they do not tell it; `codebook_size` the
    codes per codebook by a codec's tables, likewise.
    """

    role: Role
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    part: Part | None = None
    family: Family | None = None
    hop: int | None = None
    codebook_size: int | None = None

    @property
    def lengths_of(self) -> Family:
        """The family whose lengths and codes the model is tried and weighed at."""
        if self.family is None and self.codebook_size is not None:
            return replace(TYPICAL, codebook_size=self.codebook_size, mask_token=self.codebook_size)
        return self.family or TYPICAL

    @property
    def lacks_rate(self) -> bool:
        """Whether it is a codec, or a piece of one, of which nothing tells the sample rate."""
        return self.family is None and (self.role in _CODEC or self.part in _CODEC_PARTS)

    @property
    def window_frames(self) -> int | None:
        """The most frames that a transformer sees at once; None for other models."""
        return {
            Role.COARSE: self.lengths_of.coarse_window_frames,
            Role.C2F: self.lengths_of.c2f_window_frames,
        }.get(self.role)

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
    """Read the interface of a graph and recognise its role by that interface and its structure.

    Raises InputError for metadata that name a family which no model can have, or not this one.
    """
    graph = model.graph
    inputs = tuple(_input(v) for v in graph.inputs if v.name not in graph.initializers)
    outputs = tuple(_tensor(v) for v in graph.outputs)
    operators = operators_of(graph)
    text = model.metadata_props.get(FAMILY_KEY)
    declared = None if text is None else read_family(text)
    role = recognise(inputs, outputs, operators, declared)
    part = part_of(inputs, outputs, operators) if role is Role.GENERIC else None
    upward = role is Role.CODEC_DECODER or part is Part.DECODER
    codec = role in _CODEC or part in _CODEC_PARTS
    hop = hop_read(graph, upward=upward) if codec else None
    size = codebook_size_read(graph) if codec or part is Part.FROM_CODES else None
    opset = model.opset_imports.get("", 0)
    spec = ModelSpec(role, inputs, outputs, opset, part, declared, hop, size)
    if declared is None:
        return replace(spec, family=known_codec(codec_books(spec), hop, size) if codec else None)
    if codec and codec_books(spec) not in (None, declared.n_codebooks):
        raise InputError(
            f"its metadata {FAMILY_KEY} names {declared.n_codebooks} codebooks, and its graph has "
            f"{codec_books(spec)}; import its checkpoint again"
        )
    return spec


_CODEC = (Role.CODEC_ENCODER, Role.CODEC_DECODER)
_CODEC_PARTS = (Part.ENCODER, Part.DECODER)


def codec_books(spec: ModelSpec) -> int | None:
    """The codebooks that a codec declares; None for a piece that sees none, or where it is open."""
    shown = {Role.CODEC_ENCODER: spec.outputs, Role.CODEC_DECODER: spec.inputs}.get(spec.role)
    return (_size(shown[0].shape[1]) or None) if shown else None


def recognise(
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    operators: frozenset[str] = frozenset(),
    family: Family | None = None,
) -> Role:
    """The role that this interface has; GENERIC when it is none of ours.

    Ranks, dtypes and the number of codebooks, of `family` where the file names one, decide, and
    where an axis is declared without a size, the operators. Names only tell `codes` from an
    integer `mask`.
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
    if transformer is None:
        return Role.GENERIC
    n = _size(transformer.codes.shape[1])
    if family is not None:
        return _stage_in(family, n) or Role.GENERIC
    found = (_stage_in(known, n) for known in FAMILIES if known.n_coarse_codebooks)
    return next((role for role in found if role is not None), _stage_by_classes(n, outputs))


def _stage_in(family: Family, n: int) -> Role | None:
    """The stage of a family whose transformer takes `n` codebooks."""
    stages = {family.n_codebooks: Role.C2F, family.n_coarse_codebooks: Role.COARSE}
    return stages.get(n) if n else None


def _stage_by_classes(n: int, outputs: tuple[TensorSpec, ...]) -> Role:
    """Coarse where every codebook that is taken gets logits, c2f where the last ones alone do."""
    predicted = _predicted(outputs)
    if predicted is None or not 0 < predicted <= n:
        return Role.GENERIC
    return Role.COARSE if predicted == n else Role.C2F


def _predicted(outputs: tuple[TensorSpec, ...]) -> int | None:
    """The codebooks with logits `[batch, predicted, frames, classes]`; None where none says so."""
    for tensor in outputs:
        shape = tensor.shape
        if tensor.dtype.startswith("float") and len(shape) == 4 and isinstance(shape[3], int):
            return _size(shape[1]) or None
    return None


def conditioning_of(spec: ModelSpec) -> int:
    """How many codebooks the model is given and never predicts."""
    return n_coarse_of(spec) if spec.role is Role.C2F else 0


def n_coarse_of(spec: ModelSpec) -> int:
    """How many codebooks a transformer's family takes for coarse, by the file or its interface."""
    if spec.family is not None:
        return spec.family.n_coarse_codebooks
    pair, predicted = transformer_inputs(spec.inputs), _predicted(spec.outputs)
    n = 0 if pair is None else _size(pair.codes.shape[1])
    if spec.role is Role.COARSE and n:
        return n
    fine = predicted is not None and predicted < n
    return n - predicted if fine and predicted else TYPICAL.n_coarse_codebooks


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
        return _piece(n, 1, Part.COARSE_EMBEDDINGS, Part.C2F_EMBEDDINGS)
    if not source.dtype.startswith("float"):
        return None
    if "Softmax" in operators:
        width = TYPICAL.codebook_dim
        return _piece(n, width, Part.COARSE_TRANSFORMER, Part.C2F_TRANSFORMER)
    has_snake = "Sin" in operators and operators.isdisjoint(_PHASE_OPS)
    if n == 1:
        return Part.ENCODER if has_snake and width != 1 else None
    if operators & {"ArgMin", "ArgMax", "TopK"}:
        return Part.QUANTIZER
    # Snake's sine tells a codec's decoder from any other network that ends in one channel.
    return Part.DECODER if has_snake and "ConvTranspose" in operators and width in (0, 1) else None


def _piece(n: int, width: int, coarse: Part, fine: Part) -> Part | None:
    """Which stage's piece takes `n` channels, `width` of each codebook; one family is split."""
    return {
        width * TYPICAL.n_coarse_codebooks: coarse,
        width * TYPICAL.n_codebooks: fine,
    }.get(n)


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
