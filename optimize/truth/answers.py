"""What a model answers to each feed, reduced to what a comparison needs.

Full logits of a 10 s window are 9 MB per state; kept are the tokens, the reference's top-2 margins
and an even sample of the rows of logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from vampnet_models.chain.side_by_side import each_of, open_as_floor, open_side_by_side
from vampnet_models.onnxfile.artifact import Artifact, load_model
from vampnet_models.onnxfile.session import Array, Feeds, Session
from vampnet_models.progress import Progress
from vampnet_models.repair.layouts import mask_of, transformer_answer
from vampnet_models.spec import ModelSpec, Role

_MARGIN_PREFIX = "margin."
_IN_MEMORY_BYTES = 256 * 1024 * 1024
"""Encoders larger than this are not reopened with their decision margins exposed."""

_LOGIT_ROWS = 256
"""Masked positions per state whose logits are compared in full."""


def answers_of(
    model: Artifact,
    feeds: Sequence[Feeds],
    *,
    like: Artifact | None = None,
    as_floor: bool = False,
    details: bool = True,
    margins: bool = False,
    progress: Progress | None = None,
) -> Iterator[Feeds]:
    """Run the feeds and yield each answer in turn, reduced by `reduce_answer`.

    A variant is `like` its reference: it has its interface, whatever operators it was rewritten
    to. `as_floor` takes sums in another order. `details` False leaves out the rows of logits.
    `margins` adds how clearly the model prefers its choice: float32 `[codebooks, frames]`; for an
    encoder that needs a graph that shows an ArgMin or ArgMax per codebook.
    """
    exposed = _with_margins(model) if margins else None
    opened = open_as_floor if as_floor else open_side_by_side
    session = opened(model.path if exposed is None else exposed, like or model)
    spec = (like or model).spec

    def answer(feed: Feeds) -> Feeds:
        return reduce_answer(spec, feed, _run(session, feed), details, margins)

    for done, each in enumerate(each_of(session, answer, feeds), 1):
        yield each
        if progress is not None:
            progress(done, len(feeds))


def reduce_answer(
    spec: ModelSpec, feed: Feeds, outputs: Feeds, details: bool, margins: bool
) -> Feeds:
    """Transformers: `tokens`, and where asked `margins` and sampled `logits`; others as they are.

    `logits` are the rows `logit_rows(mask, predicted)`, float32 `[rows, vocab]`, and
    `nonfinite` counts NaN and infinity over all logits.
    """
    if spec.role not in (Role.COARSE, Role.C2F):
        return outputs
    answer = transformer_answer(spec, feed, outputs)
    reduced: Feeds = {"tokens": answer["tokens"]}
    if "logits" not in answer:
        return reduced
    logits = answer["logits"]
    if margins:
        top2 = np.partition(logits[0], -2, axis=-1)[..., -2:]
        reduced["margins"] = np.asarray(top2[..., 1] - top2[..., 0])
    if details:
        rows = logits[0].reshape(-1, logits.shape[-1])[
            logit_rows(mask_of(spec, feed), logits.shape[1])
        ]
        reduced["logits"] = rows
        reduced["nonfinite"] = np.array(logits.size - np.isfinite(logits).sum())
    return reduced


def logit_rows(mask: Array, predicted: int) -> Array:
    """At most 256 masked positions, evenly spread, as indices into predicted codebooks x frames."""
    masked = np.flatnonzero(mask[0, -predicted:])
    if len(masked) <= _LOGIT_ROWS:
        return masked
    return np.asarray(masked[np.linspace(0, len(masked) - 1, _LOGIT_ROWS).astype(int)])


def _run(session: Session, feed: Feeds) -> Feeds:
    outputs = session.run(feed)
    names = [n for n in outputs if n.startswith(_MARGIN_PREFIX)]
    if names:
        # The two best distances per position, [batch, frames, 2], best first.
        pairs = np.stack([outputs.pop(name) for name in names], axis=1)
        outputs["margins"] = np.abs(pairs[0, ..., 1] - pairs[0, ..., 0])
    return outputs


def _with_margins(model: Artifact) -> bytes | None:
    """The encoder with the two best distances of each codebook as outputs; None if unknown."""
    if model.role is not Role.CODEC_ENCODER or model.bytes > _IN_MEMORY_BYTES:
        return None
    codebooks = model.spec.outputs[0].shape[1]
    graph_model = load_model(model.path)
    graph = graph_model.graph
    decisions = [n for n in graph if n.op_type in ("ArgMin", "ArgMax")]
    if len(decisions) != codebooks:
        return None
    k = ir.Value(name="margin_k", const_value=ir.tensor(np.array([2], np.int64), name="margin_k"))
    graph.register_initializer(k)
    for index, node in enumerate(decisions):
        axis = node.attributes.get_int("axis", 0)
        attributes = {"axis": axis, "largest": int(node.op_type == "ArgMax"), "sorted": 1}
        top = ir.Node(
            "",
            "TopK",
            [node.inputs[0], k],
            ir.convenience.convert_attributes(attributes),
            num_outputs=2,
            name=f"{_MARGIN_PREFIX}{index}",
        )
        top.outputs[0].name = f"{_MARGIN_PREFIX}{index}"
        top.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        graph.append(top)
        graph.outputs.append(top.outputs[0])
    # A model that is opened from bytes has no folder to find external weights in.
    proto = ir.serde.serialize_model(ir.external_data.load_to_model(graph_model))
    return bytes(proto.SerializeToString())
