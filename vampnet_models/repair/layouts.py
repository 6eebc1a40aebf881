"""Every transformer's inputs and outputs in one layout, whoever exported it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vampnet_models.errors import InputError
from vampnet_models.family import FAMILY_KEY, read_family
from vampnet_models.onnxfile.session import Feeds, Session
from vampnet_models.spec import (
    ModelSpec,
    TensorSpec,
    TransformerInputs,
    conditioning_of,
    recognise,
    transformer_inputs,
)

_Array = NDArray[Any]

_NEUTRAL = 1.0
"""What scalar inputs are fed: they are temperatures, and 1 leaves the logits as they are."""

_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


def inputs_of(spec: ModelSpec) -> TransformerInputs:
    """Which input is which. Raises InputError when the model takes no codes with a mask."""
    found = transformer_inputs(spec.inputs)
    if found is None:
        names = ", ".join(t.name for t in spec.inputs)
        raise InputError(f"a transformer takes codes and a mask; this model takes {names}")
    return found


def transformer_feed(spec: ModelSpec, codes: _Array, mask: _Array) -> Feeds:
    """The feed of codes and mask `[batch, n, frames]` under the model's own names and dtypes."""
    names = inputs_of(spec)
    feed = {
        names.codes.name: codes.astype(names.codes.dtype),
        names.mask.name: mask.astype(names.mask.dtype),
    }
    for scalar in names.scalars:
        feed[scalar.name] = np.full([1] * len(scalar.shape), _NEUTRAL, scalar.dtype)
    return feed


def mask_of(spec: ModelSpec, feed: Feeds) -> _Array:
    """The mask `[batch, n, frames]` of a feed, 1 where a token is to be predicted."""
    return feed[inputs_of(spec).mask.name].astype(np.int64)


def logits_name(spec: ModelSpec) -> str | None:
    """The output that holds logits: the first of floats with an axis of classes."""
    for tensor in spec.outputs:
        if tensor.dtype.startswith("float") and len(tensor.shape) in (0, 3, 4):
            return tensor.name
    return None


def transformer_answer(spec: ModelSpec, feed: Feeds, outputs: Feeds) -> Feeds:
    """`tokens` int64 `[batch, n, frames]` and, where there are any, `logits` float
    `[batch, predicted, frames, classes]`.

    Known layouts of logits: `[batch, n or predicted, frames, classes]`,
    `[batch, frames, n or predicted, classes]` and `[batch, classes, frames * predicted]` with
    position = frame * predicted + codebook. A class for MASK itself is left out. Logits and tokens
    of the given codebooks are left out and replaced by the codes.

    Raises InputError when the outputs have none of these layouts.
    """
    codes = feed[inputs_of(spec).codes.name].astype(np.int64)
    n = codes.shape[1]
    predicted = n - conditioning_of(spec)
    answer: Feeds = {}
    name = logits_name(spec)
    if name is not None and name in outputs:
        answer["logits"] = logits_of(spec, name, outputs[name], codes.shape)
    own = [v for v in outputs.values() if v.ndim == 3 and np.issubdtype(v.dtype, np.integer)]
    if own:
        tokens = own[0].astype(np.int64)
        if tokens.shape[1] not in (n, predicted) or tokens.shape[2] != codes.shape[2]:
            raise InputError(f"tokens {list(tokens.shape)} do not fit codes {list(codes.shape)}")
    elif "logits" in answer:
        tokens = answer["logits"].argmax(axis=-1)
    else:
        raise InputError(f"neither tokens nor logits among the outputs {', '.join(outputs)}")
    missing = n - tokens.shape[1]
    answer["tokens"] = np.concatenate([codes[:, :missing], tokens], axis=1) if missing else tokens
    return answer


def logits_of(spec: ModelSpec, name: str, values: _Array, codes: tuple[int, ...]) -> _Array:
    """Logits as in `transformer_answer`, a view of the output `name`; `codes` is their shape.

    Raises InputError when the output has none of the known layouts.
    """
    n, frames = codes[1:]
    predicted = n - conditioning_of(spec)
    if values.ndim == 3 and values.shape[2] % frames == 0:
        count = values.shape[2] // frames
        split = values.reshape(*values.shape[:2], frames, count)
        values = split.transpose(0, 3, 2, 1)
    elif values.ndim == 4 and values.shape[2] != frames and values.shape[1] == frames:
        values = values.transpose(0, 2, 1, 3)
    if values.ndim != 4 or values.shape[2] != frames or values.shape[1] not in (n, predicted):
        raise InputError(f"{name} {list(values.shape)} does not fit codes {list(codes)}")
    classes = values.shape[3] - has_mask_class(spec, values.shape[3])
    return values[:, -predicted:, :, :classes]


def has_mask_class(spec: ModelSpec, classes: int) -> bool:
    """Whether one of a transformer's classes is MASK itself: one more than a codebook has codes."""
    return classes == spec.lengths_of.codebook_size + 1


def session_spec(session: Session) -> ModelSpec:
    """The interface of an open model."""
    inputs = tuple(_tensor(t) for t in session.raw.get_inputs())
    outputs = tuple(_tensor(t) for t in session.raw.get_outputs())
    text = session.raw.get_modelmeta().custom_metadata_map.get(FAMILY_KEY)
    family = None if text is None else read_family(text)
    role = recognise(inputs, outputs, family=family)
    return ModelSpec(role, inputs, outputs, opset=0, family=family)


def _tensor(argument: Any) -> TensorSpec:
    dtype = argument.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(argument.name, _DTYPES.get(argument.type, dtype), tuple(argument.shape))
