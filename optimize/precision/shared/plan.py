"""Which nodes a precision converts, and why it leaves the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import onnx_ir as ir

from optimize.precision.contract import Conversion, Plan, Traits
from optimize.precision.shared.quantize import SMALLEST_SCALE, Bits
from optimize.surgery.graph import Array, dims, int_of, rank_of, read, tensor_of, weight_of
from optimize.surgery.scopes import all_nodes, body_nodes
from vampnet_models.onnxfile.operators import HEAVY_OPS, WEIGHT_INPUTS, WEIGHT_OPS
from vampnet_models.records.variant import FloatNode, MixedNode

NARROW_CHANNELS = 16
"""A projection with so few channels on one side is a codebook's (they have 8)."""

MIN_ELEMENTS = 2048
"""Of a weight that is stored in fewer bits: of smaller ones, scales and node eat the saving."""

_P = TypeVar("_P", bound=Plan)

_KIB_UP_TO = 1024

CODE_PATH = "decides the codes: the residual quantizer's projections and nearest-row search"
_IN_BODY = "in the body of an If, Loop or Scan: calibration cannot observe its input"
_NO_INTEGER_KERNEL = "the runtime has no integer kernel for it"


def plan(
    graph: ir.Graph,
    ops: Collection[str],
    exclusions: Mapping[ir.Node, str],
    min_elements: int = 0,
    *,
    batched: bool = False,
) -> Plan:
    """Choose the nodes of these operators whose weight is constant and that nothing excludes.

    Those of bodies too. `batched` takes products with a stack of matrices `[..., rows, columns]`.
    """
    chosen, left = [], []
    for node in all_nodes(graph):
        if node.op_type not in HEAVY_OPS:
            continue
        reason = exclusions.get(node) or _unsuitable(node, ops, min_elements, batched)
        if reason is None:
            chosen.append(node)
        else:
            left.append(float_node(node, reason))
    return Plan(tuple(chosen), tuple(left))


def restricted(found: _P, names: Collection[str]) -> _P:
    """The part of a plan that is about nodes of these names."""
    return replace(
        found,
        chosen=tuple(node for node in found.chosen if node.name in names),
        left=tuple(left for left in found.left if left.node in names),
    )


def with_finite_weights(graph: ir.Graph, found: _P) -> _P:
    """The plan without nodes whose weights hold NaN or infinity, and without their readers.

    No integer stands for either, so that such a model would give numbers where it gave none. Each
    weight is read once.
    """
    reasons = {
        node: "its weight holds NaN or infinity, which no integer stands for"
        for node in found.chosen
        if not _is_finite(node)
    }
    if not reasons:
        return found
    spoiled = {value for node in reasons for value in node.outputs}
    for node in all_nodes(graph):
        if any(value in spoiled for value in node.inputs):
            spoiled.update(node.outputs)
            reasons.setdefault(node, "reads what NaN or infinity in a weight before it makes")
    left = tuple(float_node(node, reasons[node]) for node in found.chosen if node in reasons)
    chosen = tuple(node for node in found.chosen if node not in reasons)
    return replace(found, chosen=chosen, left=(*found.left, *left))


def _is_finite(node: ir.Node) -> bool:
    for tensor in (weight_of(node, index) for index in WEIGHT_INPUTS[node.op_type]):
        if tensor is not None and tensor.size:
            values = read(tensor)
            if not (np.isfinite(values.min()) and np.isfinite(values.max())):
                return False
    return True


_LOST_SHARE = 0.5
"""Of the values that are not 0, how many may become 0. Of normal ones a hundredth does in 8 bits
and an eighth in 4; so many do where values of one scale are hundreds of times as large as the rest,
which may never be read."""


def without_spread_weights(found: _P, bits: Bits = 8, block: int | None = None) -> _P:
    """The plan without products and convolutions that integers would make mostly of zeros.

    Values share a scale by output channel, or in blocks of that many rows of a product's matrix.
    Each weight is read once.
    """
    spread = {node for node in found.chosen if _lost_share(node, bits, block) > _LOST_SHARE}
    reason = f"most of its values are too small beside its largest ones for {bits} bits"
    left = tuple(float_node(node, reason) for node in found.chosen if node in spread)
    chosen = tuple(node for node in found.chosen if node not in spread)
    return replace(found, chosen=chosen, left=(*found.left, *left))


def _lost_share(node: ir.Node, bits: Bits, block: int | None) -> float:
    """The share of a weight's values, zeros apart, that are below half a step of their scale."""
    tensor = weight_of(node) if node.op_type in ("MatMul", "Conv") else None
    if tensor is None or not tensor.size or len(tensor.shape) < 2:
        return 0.0
    values = np.abs(read(tensor))
    # As `[values of one scale, scales]`.
    if node.op_type == "Conv":
        groups = [values.reshape(len(values), -1).T]
    else:
        rows = values.shape[-2]
        groups = [values[..., i : i + (block or rows), :] for i in range(0, rows, block or rows)]
    lost = sum(_lost(group, bits) for group in groups)
    n_zero = values.size - int(np.count_nonzero(values))
    return (lost - n_zero) / max(1, values.size - n_zero)


def _lost(magnitudes: Array, bits: Bits) -> int:
    """How many values become 0; those along the last axis but one share a scale."""
    step = magnitudes.max(axis=-2, keepdims=True) / (2 ** (bits - 1) - 1)
    return int(np.count_nonzero(magnitudes < np.maximum(step, SMALLEST_SCALE) / 2))


def _unsuitable(
    node: ir.Node, ops: Collection[str], min_elements: int, batched: bool
) -> str | None:
    if node.op_type not in ops:
        return _NO_INTEGER_KERNEL
    weight = weight_of(node)
    if weight is None:
        return _without_weight(node)
    n_axes = len(weight.shape)
    if node.op_type == "MatMul" and (n_axes < 2 or (n_axes > 2 and not batched)):
        return f"its weight has {n_axes} axes, not two"
    if n_axes > 2 and node.op_type == "MatMul" and (_rank(node.inputs[0]) or 0) < 2:
        return "its weight is a stack of matrices and its input not known to be one"
    if weight.size == 0:
        return "its weight is empty"
    if node.op_type == "MatMul" and dims(weight)[-2] == 1:
        return "it multiplies each with each, as positions, and sums nothing that hides rounding"
    if weight.size < min_elements:
        return f"fewer than {min_elements} weights: nothing to save"
    return None


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None else rank_of(value)


def _without_weight(node: ir.Node) -> str:
    """Why a node of a weight-carrying operator has no float32 weight at its place."""
    tensor, value = tensor_of(node.inputs[1]), node.inputs[1]
    producer = value.producer() if value is not None else None
    if tensor is not None:
        return f"its weight is {tensor.dtype.name.lower()}, not float32"
    if producer is not None and producer.op_type == "DequantizeLinear":
        return "its weight is quantized already"
    if tensor_of(node.inputs[0]) is not None:
        return "its constant is the left operand"
    return "both operands are activations"


def float_node(node: ir.Node, reason: str) -> FloatNode:
    """The record of a node left in float."""
    return FloatNode(node.name or "", node.op_type, reason)


def table_lookups(graph: ir.Graph) -> list[FloatNode]:
    """Lookups in constant float tables, which quantization leaves; scales of rows are none."""
    found = []
    for node in all_nodes(graph):
        table = weight_of(node, 0) if node.op_type == "Gather" else None
        if table is not None and len(dims(table)) > 1:
            kib = table.nbytes / 1024
            size = f"{kib:.0f} KiB" if kib < _KIB_UP_TO else f"{kib / 1024:.1f} MiB"
            found.append(float_node(node, f"a table of {size}: its rows are looked up, not summed"))
    return found


def constant_lookups(graph: ir.Graph, min_elements: int = 0) -> tuple[ir.Node, ...]:
    """Lookups of whole rows in constant float tables."""
    found = []
    for node in all_nodes(graph):
        table = weight_of(node, 0) if node.op_type == "Gather" else None
        if table is None or int_of(node, "axis", 0) != 0 or len(dims(table)) != 2:
            continue
        if table.size >= min_elements:
            found.append(node)
    return tuple(found)


def family_exclusions(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """What integers cost more than they save in models of the codec's family, and only there."""
    return merged(
        code_path(graph, traits),
        single_channel_ends(graph, traits),
        _narrow_projections(graph, traits),
        embedding_projections(graph, traits),
    )


def code_path(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """The nodes between the latent and the codes: they decide which codebook row is nearest.

    Backwards from each ArgMin or ArgMax, through everything but wide weights; it is a nearest-row
    search when that meets a narrow projection or table, and the head of a classifier otherwise.
    """
    path: dict[ir.Node, str] = {}
    for node in all_nodes(graph) if traits.decides_codes else ():
        if node.op_type in ("ArgMin", "ArgMax"):
            found = _backwards(node, path)
            if any(_is_narrow(each) for each in found):
                path.update(dict.fromkeys(found, CODE_PATH))
    return path


def _backwards(start: ir.Node, known: Collection[ir.Node]) -> list[ir.Node]:
    found: dict[ir.Node, None] = {}
    pending = [start]
    while pending:
        node = pending.pop()
        wide = node.op_type in WEIGHT_OPS and weight_of(node) is not None and not _is_narrow(node)
        if node in found or wide:
            continue
        found[node] = None
        if node in known:
            continue
        pending.extend(p for v in node.inputs if v is not None and (p := v.producer()) is not None)
    return [node for node in found if node in known] + [n for n in found if n not in known]


def _is_narrow(node: ir.Node) -> bool:
    weight = weight_of(node) if node.op_type in WEIGHT_OPS else None
    if weight is None or any(d != 1 for d in dims(weight)[2:]):
        return False
    return min(dims(weight)[:2]) <= NARROW_CHANNELS


def single_channel_ends(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """Convolutions from or to one channel: the waveform itself, few operations, all the error."""
    ends = {}
    for node in all_nodes(graph) if traits.has_waveform else ():
        weight = weight_of(node) if node.op_type in ("Conv", "ConvTranspose") else None
        if weight is None:
            continue
        out_axis, in_axis = (0, 1) if node.op_type == "Conv" else (1, 0)
        if dims(weight)[in_axis] == 1:
            ends[node] = "the first convolution: reads the waveform"
        elif dims(weight)[out_axis] == 1:
            ends[node] = "the last convolution: writes the waveform"
    return ends


def _narrow_projections(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """Projections from or to few channels, such as those of codebook rows: little to compute."""
    found = {}
    for node in all_nodes(graph) if traits.is_family else ():
        weight = weight_of(node) if node.op_type in WEIGHT_OPS else None
        if weight is not None and _is_narrow(node):
            channels = min(dims(weight)[:2])
            found[node] = f"{channels} channels on one side: little to gain from integers"
    return found


def embedding_projections(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """Products of looked-up rows side by side: few operations, and an error that all layers see."""
    found = {}
    for node in all_nodes(graph) if traits.embeds_codes else ():
        x = node.inputs[0] if node.op_type == "MatMul" and weight_of(node) is not None else None
        rows = x.producer() if x is not None else None
        if rows is None or rows.op_type != "Concat":
            continue
        makers = [value.producer() if value is not None else None for value in rows.inputs]
        if all(m is not None and m.op_type == "Gather" and weight_of(m, 0) for m in makers):
            found[node] = "the embedding: one scale for the rows of all codebooks loses tokens"
    return found


def heads(graph: ir.Graph) -> dict[ir.Node, str]:
    """The weight nodes whose result is chosen from: those that ArgMax reads through light nodes."""
    found: dict[ir.Node, str] = {}
    for node in all_nodes(graph):
        if node.op_type != "ArgMax":
            continue
        pending = [node]
        while pending:
            for value in pending.pop().inputs:
                producer = value.producer() if value is not None else None
                if producer is None:
                    continue
                if producer.op_type in WEIGHT_OPS:
                    found[producer] = "the head: what is chosen by its scores would tie in 8 bits"
                elif producer.op_type not in HEAVY_OPS:
                    pending.append(producer)
    return found


def in_bodies(graph: ir.Graph) -> dict[ir.Node, str]:
    """The nodes of bodies, whose inputs calibration cannot observe: they are no outputs."""
    return dict.fromkeys(body_nodes(graph), _IN_BODY)


def merged(*exclusions: Mapping[ir.Node, str]) -> dict[ir.Node, str]:
    """All exclusions; the first reason of a node counts."""
    result: dict[ir.Node, str] = {}
    for each in exclusions:
        for node, reason in each.items():
            result.setdefault(node, reason)
    return result


def conversion(
    graph: ir.Graph,
    n_converted: int,
    precision: str,
    left: Iterable[FloatNode],
    mixed: Iterable[MixedNode] = (),
) -> Conversion:
    """The record: `n_converted` nodes of the main precision, the mixed and the left ones."""
    left, mixed = tuple(left), tuple(mixed)
    counts = Counter({precision: n_converted})
    counts.update(node.precision for node in mixed)
    counts["float32"] += sum(1 for node in left if node.op_type in WEIGHT_OPS)
    used = {name: count for name, count in counts.items() if count}
    return Conversion(used, (*left, *table_lookups(graph)), mixed)
