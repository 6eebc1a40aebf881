"""What a model answers to each feed, kept on disk so that large logits are never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from vampnet_models.artifact import Artifact, load_model
from vampnet_models.session import Array, Feeds, GraphOptimization, Session, open_session
from vampnet_models.spec import Role

Progress = Callable[[int, int], None]

MARGIN_PREFIX = "margin."
IN_MEMORY_BYTES = 256 * 1024 * 1024
"""Encoders larger than this are not reopened with their decision margins exposed."""


@dataclass(frozen=True)
class Answers:
    """A folder of answers, one file per feed. `has_margins`: encoders' decision margins too."""

    folder: Path
    n_feeds: int
    has_margins: bool

    def __iter__(self) -> Iterator[Feeds]:
        for index in range(self.n_feeds):
            with np.load(self.folder / f"{index}.npz") as stored:
                yield {name: stored[name] for name in stored.files}


def answer(
    model: Artifact,
    feeds: Sequence[Feeds],
    folder: Path,
    *,
    threads: int = 0,
    graph_optimization: GraphOptimization = "all",
    margins: bool = False,
    progress: Progress | None = None,
) -> Answers:
    """Run every feed through the model and store its outputs under `folder`.

    `margins` asks an encoder for the gap between its nearest and second nearest codebook row,
    float32 `[batch, codebooks, frames]`, where its graph shows an ArgMin or ArgMax per codebook.
    """
    exposed = _with_margins(model) if margins else None
    session = open_session(
        model.path if exposed is None else exposed,
        threads=threads,
        graph_optimization=graph_optimization,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for index, feed in enumerate(feeds):
        np.savez(folder / f"{index}.npz", allow_pickle=False, **_run(session, feed))
        if progress is not None:
            progress(index + 1, len(feeds))
    return Answers(folder, len(feeds), exposed is not None)


def _run(session: Session, feed: Feeds) -> dict[str, Array]:
    outputs = session.run(feed)
    names = [n for n in outputs if n.startswith(MARGIN_PREFIX)]
    if names:
        # The two best distances per position, [batch, frames, 2], best first.
        pairs = np.stack([outputs.pop(name) for name in names], axis=1)
        outputs["margins"] = np.abs(pairs[..., 1] - pairs[..., 0])
    return outputs


def _with_margins(model: Artifact) -> bytes | None:
    """The encoder with the two best distances of each codebook as outputs; None if unknown."""
    codebooks = model.spec.outputs[0].shape[1]
    if model.role is not Role.CODEC_ENCODER or model.bytes > IN_MEMORY_BYTES:
        return None
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
            name=f"{MARGIN_PREFIX}{index}",
        )
        top.outputs[0].name = f"{MARGIN_PREFIX}{index}"
        top.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        graph.append(top)
        graph.outputs.append(top.outputs[0])
    proto = ir.serde.serialize_model(graph_model)
    return bytes(proto.SerializeToString())
