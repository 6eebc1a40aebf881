"""What is wrong with models of other exporters, in words that name the remedy."""

from __future__ import annotations

import onnx_ir as ir

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.results import UNKNOWN_RATE, UNKNOWN_ROLE, Problem
from vampnet_models.repair.baked import Accepted, accepted_lengths, data_shaped
from vampnet_models.repair.layouts import has_mask_class, inputs_of, logits_name
from vampnet_models.spec import ROLE_KEY, ModelSpec, Part, Role

_TRANSFORMERS = (Role.COARSE, Role.C2F)
_TRANSFORMER_PARTS = (Part.COARSE_TRANSFORMER, Part.C2F_TRANSFORMER)


def foreign_problems(artifact: Artifact, model: ir.Model) -> list[Problem]:
    """Problems of role, length, layout and architecture; none for our own graphs."""
    spec = artifact.spec
    if ROLE_KEY in model.metadata_props:
        return []
    found = [_of_role(spec), _of_rate(spec), _of_length(artifact, model), _of_axes(spec)]
    if spec.role in _TRANSFORMERS:
        found += [_of_answer(spec), _of_classes(spec), _of_architecture(spec, model)]
    return [problem for problem in found if problem is not None]


def _of_role(spec: ModelSpec) -> Problem | None:
    if spec.role is not Role.GENERIC:
        return None
    if spec.part is None:
        return Problem(UNKNOWN_ROLE, "of no known chain: handled as generic")
    text = (
        f"one piece of a model: {spec.part.value}; handled as generic, fed through the pieces "
        "beside it: import the checkpoint for the whole model"
    )
    return Problem("split-form", text)


def _of_rate(spec: ModelSpec) -> Problem | None:
    text = "nothing tells its sample rate: give it with --sample-rate HZ"
    return Problem(UNKNOWN_RATE, text) if spec.lacks_rate else None


def _of_length(artifact: Artifact, model: ir.Model) -> Problem | None:
    spec = artifact.spec
    is_transformer = spec.role in _TRANSFORMERS
    remedy = "its inputs are cut or filled up to it"
    if is_transformer or spec.part is not None:
        remedy = "`vampbench make-dynamic` frees it where the graph allows"
        shaped = data_shaped(model)
        if shaped is not None:
            remedy = f"it cannot be freed ({shaped}): import the checkpoint (`vampbench import`)"
    if spec.role in (Role.CODEC_ENCODER, Role.CODEC_DECODER):
        remedy = f"{remedy}; import the checkpoint for any length"
    declared = [t for t in spec.inputs if len(t.shape) > 1 and isinstance(t.shape[-1], int)]
    if spec.role is Role.GENERIC and spec.part is None:
        return _of_shape(spec)
    if declared and not is_transformer:
        return _fixed(declared[0].name, declared[0].shape[-1], remedy)
    try:
        accepted: Accepted = accepted_lengths(artifact.path, spec, open_session(artifact.path))
    except InputError as error:
        return Problem("not-loadable", str(error))
    if accepted.whole_mask:
        text = f"{accepted.describe()}: it cannot be sampled from in steps; {remedy}"
        return Problem("whole-mask", text)
    if not accepted.usable:
        text = f"{accepted.describe()}: import the checkpoint (`vampbench import`)"
        return Problem("runs-never", text)
    if declared:
        return _fixed(declared[0].name, declared[0].shape[-1], remedy)
    if not accepted.restricted:
        return None
    return Problem("baked-length", f"{accepted.describe()}: {remedy}")


def _of_shape(spec: ModelSpec) -> Problem | None:
    """A sequence of which no axis but the batch is free; the last one may be a feature's width."""
    for tensor in spec.inputs:
        if len(tensor.shape) == 3 and all(isinstance(size, int) for size in tensor.shape[1:]):
            text = f"{tensor.name} is {tensor.described}: other sizes than these are refused"
            return Problem("fixed-length", text)
    return None


def _fixed(name: str, length: int | str | None, remedy: str) -> Problem:
    text = f"{name} is fixed at {length}: other lengths are refused; {remedy}"
    return Problem("fixed-length", text)


def _of_axes(spec: ModelSpec) -> Problem | None:
    """The third axis of flat logits has the name of the frames but counts codebooks too."""
    name = logits_name(spec)
    is_transformer = spec.role in _TRANSFORMERS or spec.part in _TRANSFORMER_PARTS
    if name is None or not is_transformer:
        return None
    shape, time = spec.output(name).shape, spec.inputs[0].shape[-1]
    if len(shape) != 3 or shape[2] != time or not isinstance(time, str):
        return None
    text = (
        f"the third axis of {name} is declared `{time}` like the input's, but is {time} times the "
        "predicted codebooks (position = frame * predicted + codebook)"
    )
    return Problem("axis-name", text)


def _of_answer(spec: ModelSpec) -> Problem | None:
    if logits_name(spec) is not None:
        return None
    text = "gives tokens without logits: it cannot be sampled from, and its near-ties are unknown"
    return Problem("no-logits", text)


def _of_classes(spec: ModelSpec) -> Problem | None:
    name = logits_name(spec)
    shape = spec.output(name).shape if name is not None else ()
    n_classes = next((n for n in shape if isinstance(n, int) and has_mask_class(spec, n)), None)
    if n_classes is None:
        return None
    text = f"{name} has a class for MASK itself ({n_classes}): it is left out of tokens"
    return Problem("mask-class", text)


def _of_architecture(spec: ModelSpec, model: ir.Model) -> Problem | None:
    """Embedding tables of the model's own, where VampNet looks codes up in the codec's."""
    n, family = inputs_of(spec).codes.shape[1], spec.lengths_of
    tables = [
        tuple(value.const_value.shape.numpy())
        for value in model.graph.initializers.values()
        if value.const_value is not None and value.const_value.dtype is ir.DataType.FLOAT
    ]
    own = [
        s
        for s in tables
        if len(s) == 2 and s[0] == family.mask_token + 1 and s[1] != family.codebook_dim
    ]
    if not isinstance(n, int) or len(own) < n:
        return None
    text = (
        f"{len(own)} embedding tables of {own[0][0]} x {own[0][1]}: another architecture than the "
        f"checkpoints' (the codec's {family.codebook_size} x {family.codebook_dim}), so their "
        "weights do not fit it: `vampbench import` writes the original"
    )
    return Problem("other-architecture", text)
