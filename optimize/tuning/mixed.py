"""One model, a precision of its own for each weight: what a search over precisions builds."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.ranges.collect import collect_channel_ranges, collect_moments
from optimize.fusions.order import Form
from optimize.precision.contract import NO_TRAITS, Conversion, Plan, RangeLike, Traits
from optimize.precision.fp16 import weights as fp16_weights
from optimize.precision.int8 import dynamic as int8_dynamic
from optimize.precision.int8 import static as int8_static
from optimize.precision.shared.plan import code_path, restricted
from optimize.precision.shared.shelf import Shelf, Shelved
from optimize.precision.weights import calibrated_weights, codebook_rows, weight_only
from optimize.precision.weights.calibrated_weights import Packed
from optimize.recipes import Recipe
from optimize.surgery.graph import weight_of
from optimize.surgery.stand_ins import restore
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Progress
from vampnet_models.records.variant import FloatNode, MixedNode

FLOAT = "float32"
STATIC, DYNAMIC = "int8-static", "int8-dynamic"
_PRECISIONS = (FLOAT, "float16-weights", STATIC, DYNAMIC, "int8-weights", "int4-weights")
"""What a weight may have, from the truest to the smallest; `FLOAT` leaves it as it is."""

BITS_8, BITS_4 = weight_only.Settings(bits=8), weight_only.Settings(bits=4)
_GPTQ_4 = weight_only.Settings(bits=4, method="asymmetric")
"""With zero points: of fifteen levels each counts."""

Assignment = Mapping[str, str]
"""Block -> precision; blocks that are not named stay float32."""

Blocks = Mapping[str, tuple[str, ...]]
"""Block -> the names of its nodes."""

Grain = Literal["node", "stage", "kind"]
"""How much of a model shares a precision, from the finest on; see `blocks_of`."""

_OWN_SHARE = 0.01
"""By the grain `node`, a codec's convolution with so much of all weights is a block of its own."""

_LAYER = re.compile(r"(layers?)\.\d+\.")
_STAGE = re.compile(r"(.*?\.\d+)(?=[./])")
_NUMBER = re.compile(r"\d+")


def blocks_of(
    graph: ir.Graph, grain: Grain = "stage", traits: Traits = NO_TRAITS
) -> dict[str, tuple[str, ...]]:
    """The weights that any precision would change, grouped, of a graph fused as a mixture.

    A transformer's MatMuls stand alone, or by `kind` with those of all layers
    (`layers.*.feed_forward.w_2`); a codec's convolutions belong to their stage
    (`decoder.model.3`), or by `node` the heavy ones stand alone. Lookups and what decides the
    codes go by kind (`quantizers.*.in_proj`): they are many and small. Any other node stands alone.
    """
    chosen = {
        n.name: n for found in _targets(graph, traits).values() for n in found.chosen if n.name
    }
    sizes = {name: _n_weights(node) for name, node in chosen.items()}
    own = {name for name, size in sizes.items() if size >= _OWN_SHARE * sum(sizes.values())}
    decides = code_path(graph, traits)
    blocks: dict[str, list[str]] = {}
    for node in graph:
        if node.name not in chosen:
            continue
        if node.op_type == "Gather" or node in decides:
            block = _NUMBER.sub("*", node.name)
        else:
            block = _block(node.name, grain, own=node.name in own)
        blocks.setdefault(block, []).append(node.name)
    return {name: tuple(nodes) for name, nodes in blocks.items()}


def _n_weights(node: ir.Node) -> int:
    weight = weight_of(node, 0 if node.op_type == "Gather" else 1)
    return 0 if weight is None else weight.size


def _block(name: str, grain: Grain, *, own: bool) -> str:
    if _LAYER.search(name):
        return _LAYER.sub(r"\1.*.", name) if grain == "kind" else name
    stage = _STAGE.match(name)
    return name if stage is None or (own and grain == "node") else stage.group(1)


def _targets(graph: ir.Graph, traits: Traits) -> dict[str, Plan]:
    """What each precision would convert and leave."""
    return {
        STATIC: int8_static.targets(graph, traits),
        DYNAMIC: int8_dynamic.targets(graph, traits),
        "int8-weights": weight_only.targets(graph, traits, with_tables=True),
        "int4-weights": weight_only.targets(graph, traits),
        "float16-weights": fp16_weights.targets(graph),
    }


def options_of(
    graph: ir.Graph, blocks: Blocks, traits: Traits = NO_TRAITS
) -> dict[str, tuple[str, ...]]:
    """The precisions that convert at least one node of each block; float32 is always one.

    Four bits are none for a block whose weights have no whole blocks of them: it would be 8.
    """
    plans = _targets(graph, traits)
    chosen = {p: {n.name for n in found.chosen} for p, found in plans.items()}
    chosen["int4-weights"] = {
        n.name for n in plans["int4-weights"].chosen if weight_only.has_four_bits(n)
    }
    return {
        block: tuple(p for p in _PRECISIONS if p == FLOAT or chosen[p].intersection(nodes))
        for block, nodes in blocks.items()
    }


@dataclass(frozen=True)
class Calibrated:
    """What sample audio tells a mixture: ranges, and products that GPTQ has rounded.

    `integers` are those of static INT8, see `int8_static.rounded_products`, `blocks` those of
    weights in blocks by precision, all by the names of their nodes. Other products are rounded to
    nearest.
    """

    ranges: Mapping[str, RangeLike] = field(default_factory=dict)
    integers: Mapping[str, Shelved] = field(default_factory=dict)
    blocks: Mapping[str, Mapping[str, Packed]] = field(default_factory=dict)


def convert(
    model: ir.Model,
    blocks: Blocks,
    assignment: Assignment,
    calibrated: Calibrated,
    traits: Traits = NO_TRAITS,
) -> Conversion:
    """Give each block of a fused model its precision, in place.

    Every plan is made before anything is changed: a converted weight would hide what decides the
    codes. Codebooks are stored once, see `codebook_rows`. A node that its precision leaves stays
    float32, with the reason.
    """
    graph = model.graph
    names = {p: _names(blocks, assignment, p) for p in _PRECISIONS}
    plans = {p: restricted(found, names[p]) for p, found in _targets(graph, traits).items()}
    read_by_integers = names[STATIC] | names[DYNAMIC]
    touched = {
        value.name
        for node in graph
        if node.name in read_by_integers
        for value in (*node.inputs, *node.outputs)
        if value is not None
    }
    kept = {name: seen for name, seen in calibrated.ranges.items() if name in touched}

    def in_blocks(settings: weight_only.Settings, precision: str) -> Conversion:
        """By GPTQ, but where smoothing changed a weight's rows: its input has a reader in INT8."""
        found = calibrated.blocks.get(precision, {})
        rounded = {
            node: found[node.name or ""].of(node)
            for node in plans[precision].chosen
            if node.name in found and node.inputs[0] is not None and node.inputs[0].name not in kept
        }
        return weight_only.convert(model, settings, rounded, plans[precision])

    steps: tuple[tuple[str, Callable[[Plan], Conversion]], ...] = (
        (STATIC, lambda plan: int8_static.convert(model, kept, plan, integers=calibrated.integers)),
        (DYNAMIC, lambda plan: int8_dynamic.convert(model, plan)),
        ("int8-weights", lambda _: in_blocks(BITS_8, "int8-weights")),
        ("int4-weights", lambda _: in_blocks(BITS_4, "int4-weights")),
        ("float16-weights", lambda plan: fp16_weights.convert(model, plan)),
    )
    tables = codebook_rows.codebooks(graph, traits)
    precision: Counter[str] = Counter()
    left: dict[str, FloatNode] = {}
    mixed: list[MixedNode] = []
    for name, step in steps:
        if not plans[name].chosen and not plans[name].left:
            continue
        done = step(plans[name])
        precision.update(
            {name if n in ("int8", "int4") else n: c for n, c in done.precision.items()}
        )
        left.update({node.node: node for node in done.float_nodes})
        mixed.extend(done.mixed_nodes)
    restore(model)
    codebook_rows.share(model, traits, tables)
    # A step that came before another's lookups counts them among what stays.
    for node in (n for found in plans.values() for n in found.chosen if n.op_type == "Gather"):
        left.pop(node.name or "", None)
    ops = {node.name: node.op_type for node in graph}
    for name in sorted(names[FLOAT]):
        left[name] = FloatNode(name, ops.get(name, ""), "the search left it in float32")
        precision[FLOAT] += 1
    return Conversion(dict(precision), tuple(left.values()), tuple(mixed))


def _names(blocks: Blocks, assignment: Assignment, precision: str) -> set[str]:
    return {
        name
        for block, nodes in blocks.items()
        if assignment.get(block, FLOAT) == precision
        for name in nodes
    }


def calibrate(
    fused: Path,
    feeds: Sequence[Feeds],
    scratch: Path | None = None,
    progress: Progress | None = None,
    traits: Traits = NO_TRAITS,
) -> Calibrated:
    """What any mixture of a model fused as a mixture may ask for; empty where none can.

    One pass for the ranges, one for the second moments, by which each product is rounded in each
    precision; the integers wait in files in `scratch`. Raises InputError as `collect_ranges` does.
    """
    smoothed, plain = load_model(fused), load_model(fused)
    axes = int8_static.tensors_to_observe(smoothed.graph, traits)
    if not axes:
        return Calibrated()
    ranges = collect_channel_ranges(fused, feeds, axes, progress=progress)
    readers = calibrated_weights.readers_of(weight_only.targets(plain.graph, traits).chosen)
    shelf = Shelf(scratch)
    blocks: dict[str, dict[str, Packed]] = {"int8-weights": {}, "int4-weights": {}}

    def moments_of(widths: Mapping[str, int]) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Those that are asked for; on the way every weight in blocks is rounded."""
        every = {**calibrated_weights.widths_of(readers), **widths}
        for name, moments in collect_moments(fused, feeds, every, progress=progress):
            for node in readers.get(name, ()):
                for precision, settings in (("int8-weights", BITS_8), ("int4-weights", _GPTQ_4)):
                    found = calibrated_weights.packed(node, moments, settings, shelf)
                    blocks[precision][node.name or ""] = found
            if name in widths:
                yield name, moments

    integers = int8_static.rounded_products(smoothed, ranges, moments_of, scratch, traits)
    return Calibrated(ranges, integers, blocks)


def recipe_of(blocks: Blocks, assignment: Assignment, calibrated: Calibrated) -> Recipe:
    """The recipe that makes this mixture; its name holds a hash of the assignment."""
    needs_feeds = {STATIC, DYNAMIC} & set(assignment.values())

    def with_feeds(
        model: ir.Model,
        _fused: Path,
        _feeds: Sequence[Feeds],
        _progress: Progress | None,
        traits: Traits,
    ) -> Conversion:
        return convert(model, blocks, assignment, calibrated, traits)

    return Recipe(
        name_of(assignment),
        "a precision of its own for each weight, by search",
        Form.MIXTURE,
        convert=None
        if needs_feeds
        else lambda model, _ranges, traits: convert(
            model, blocks, assignment, Calibrated(), traits
        ),
        calibrate=with_feeds if needs_feeds else None,
        expect=("rms_norm", "relative_attention", "snake", "qkv_packing"),
    )


def name_of(assignment: Assignment) -> str:
    """`tuned-` and a hash."""
    text = json.dumps(sorted(assignment.items()))
    return f"tuned-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
