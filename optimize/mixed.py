"""One model, a precision of its own for each weight: what a search over precisions builds."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from calibration.collect import collect_channel_ranges
from optimize.fuse import MIXED_RULES
from optimize.graph import weight_of
from optimize.precision import fp16_weights, int8_dynamic, int8_static, weight_only
from optimize.precision.int8_conv import RangeLike
from optimize.precision.plan import (
    Conversion,
    FloatNode,
    MixedNode,
    Plan,
    code_path,
    restricted,
)
from optimize.recipes import Recipe
from vampnet_models.session import Feeds

FLOAT = "float32"
STATIC, DYNAMIC = "int8-static", "int8-dynamic"
PRECISIONS = (FLOAT, "float16-weights", STATIC, DYNAMIC, "int8-weights", "int4-weights")
"""What a weight may have, from the truest to the smallest; `FLOAT` leaves it as it is."""

BITS_8, BITS_4 = weight_only.Settings(bits=8), weight_only.Settings(bits=4)

Assignment = Mapping[str, str]
"""Block -> precision; blocks that are not named stay float32."""

Blocks = Mapping[str, tuple[str, ...]]
"""Block -> the names of its nodes."""

Grain = Literal["node", "stage", "kind"]
"""How much of a model shares a precision, from the finest on; see `blocks_of`."""

OWN_SHARE = 0.01
"""By the grain `node`, a codec's convolution with so much of all weights is a block of its own."""

_LAYER = re.compile(r"(layers?)\.\d+\.")
_STAGE = re.compile(r"(.*?\.\d+)(?=[./])")
_NUMBER = re.compile(r"\d+")


def blocks_of(graph: ir.Graph, grain: Grain = "stage") -> dict[str, tuple[str, ...]]:
    """The weights that any precision would change, grouped, of a graph fused by `MIXED_RULES`.

    A transformer's MatMuls stand alone, or by `kind` with those of all layers
    (`layers.*.feed_forward.w_2`); a codec's convolutions belong to their stage
    (`decoder.model.3`), or by `node` the heavy ones stand alone. Lookups and what decides the
    codes go by kind (`quantizers.*.in_proj`): they are many and small. Any other node stands alone.
    """
    chosen = {n.name: n for found in targets(graph).values() for n in found.chosen if n.name}
    sizes = {name: _n_weights(node) for name, node in chosen.items()}
    own = {name for name, size in sizes.items() if size >= OWN_SHARE * sum(sizes.values())}
    decides = code_path(graph)
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


def targets(graph: ir.Graph) -> dict[str, Plan]:
    """What each precision would convert and leave."""
    return {
        STATIC: int8_static.targets(graph),
        DYNAMIC: int8_dynamic.targets(graph),
        "int8-weights": weight_only.targets(graph, tables=True),
        "int4-weights": weight_only.targets(graph),
        "float16-weights": fp16_weights.targets(graph),
    }


def options_of(graph: ir.Graph, blocks: Blocks) -> dict[str, tuple[str, ...]]:
    """The precisions that convert at least one node of each block; float32 is always one.

    Four bits are none for a block whose weights have no whole blocks of them: it would be 8.
    """
    chosen = {p: {n.name for n in found.chosen} for p, found in targets(graph).items()}
    chosen["int4-weights"] = {
        n.name for n in targets(graph)["int4-weights"].chosen if weight_only.has_four_bits(n)
    }
    return {
        block: tuple(p for p in PRECISIONS if p == FLOAT or chosen[p].intersection(nodes))
        for block, nodes in blocks.items()
    }


def convert(
    model: ir.Model, blocks: Blocks, assignment: Assignment, ranges: Mapping[str, RangeLike]
) -> Conversion:
    """Give each block of a fused model its precision, in place.

    Every plan is made before anything is changed: a converted weight would hide what decides the
    codes. A node that its precision leaves stays float32, with the reason.
    """
    graph = model.graph
    names = {p: _names(blocks, assignment, p) for p in PRECISIONS}
    plans = {p: restricted(found, names[p]) for p, found in targets(graph).items()}
    read_by_integers = names[STATIC] | names[DYNAMIC]
    touched = {
        value.name
        for node in graph
        if node.name in read_by_integers
        for value in (*node.inputs, *node.outputs)
        if value is not None
    }
    kept = {name: seen for name, seen in ranges.items() if name in touched}
    steps: tuple[tuple[str, Callable[[Plan], Conversion]], ...] = (
        (STATIC, lambda plan: int8_static.convert(model, kept, plan)),
        (DYNAMIC, lambda plan: int8_dynamic.convert(model, plan)),
        ("int8-weights", lambda plan: weight_only.convert(model, BITS_8, chosen=plan)),
        ("int4-weights", lambda plan: weight_only.convert(model, BITS_4, chosen=plan)),
        ("float16-weights", lambda plan: fp16_weights.convert(model, plan)),
    )
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


def recipe_of(
    blocks: Blocks, assignment: Assignment, ranges: Mapping[str, RangeLike] | None = None
) -> Recipe:
    """The recipe that makes this mixture; its name holds a hash of the assignment.

    `ranges` of an earlier collection on the same feeds save another.
    """

    def calibrate(
        model: ir.Model,
        fused: Path,
        feeds: Sequence[Feeds],
        progress: Callable[[int, int], None] | None,
    ) -> Conversion:
        found = ranges
        if found is None:
            axes = int8_static.tensors_to_observe(model.graph)
            found = collect_channel_ranges(fused, feeds, axes, progress=progress) if axes else {}
        return convert(model, blocks, assignment, found)

    needs_ranges = {STATIC, DYNAMIC} & set(assignment.values())
    plain = partial(convert, blocks=blocks, assignment=assignment)
    return Recipe(
        name_of(assignment),
        "a precision of its own for each weight, by search",
        MIXED_RULES,
        convert=None if needs_ranges else lambda model, _ranges: plain(model, ranges={}),
        calibrate=calibrate if needs_ranges else None,
        expect=("rms_norm", "relative_attention", "snake", "qkv_packing"),
    )


def name_of(assignment: Assignment) -> str:
    """`tuned-` and a hash."""
    text = json.dumps(sorted(assignment.items()))
    return f"tuned-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
