"""One model, a precision of its own for each weight: what a search over precisions builds."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibration.ranges.collect import collect_channel_ranges, collect_moments
from optimize.fusions.order import Form
from optimize.precision.contract import (
    NO_TRAITS,
    Conversion,
    Evidence,
    Needs,
    Plan,
    Precision,
    RangeLike,
    Traits,
)
from optimize.precision.int8 import dynamic as int8_dynamic
from optimize.precision.int8 import static as int8_static
from optimize.precision.shared import half_storage
from optimize.precision.shared.plan import code_path, restricted
from optimize.precision.shared.shelf import Shelf, Shelved
from optimize.precision.weights import calibrated_weights, codebook_rows, weight_only
from optimize.precision.weights.calibrated_weights import Packed
from optimize.recipes import NATIVE, Recipe
from optimize.surgery.graph import Array, weight_of
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Progress
from vampnet_models.records.variant import FloatNode, MixedNode

FLOAT = "float32"
STATIC, DYNAMIC = "int8-static", "int8-dynamic"
_PRECISIONS = (FLOAT, "float16-weights", STATIC, DYNAMIC, "int8-weights", "int4-weights")
"""What a weight may have, from the truest to the smallest; `FLOAT` leaves it as it is."""

BITS_8, BITS_4 = weight_only.WeightOnly(bits=8, tables=True), weight_only.WeightOnly(bits=4)
_GPTQ_4 = weight_only.WeightOnly(bits=4, method="asymmetric")
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
        DYNAMIC: int8_dynamic.DynamicInt8().plan(graph, traits),
        "int8-weights": BITS_8.plan(graph, traits),
        "int4-weights": BITS_4.plan(graph, traits),
        "float16-weights": half_storage.targets(graph),
    }


def options_of(
    graph: ir.Graph, blocks: Blocks, traits: Traits = NO_TRAITS, *, integers: bool = True
) -> dict[str, tuple[str, ...]]:
    """The precisions that convert at least one node of each block; float32 is always one.

    Four bits are none for a block whose weights have no whole blocks of them: it would be 8.
    Without `integers` none quantizes activations.
    """
    offered = [p for p in _PRECISIONS if integers or p not in (STATIC, DYNAMIC)]
    plans = _targets(graph, traits)
    chosen = {p: {n.name for n in found.chosen} for p, found in plans.items()}
    chosen["int4-weights"] = {
        n.name for n in plans["int4-weights"].chosen if weight_only.has_four_bits(n)
    }
    return {
        block: tuple(p for p in offered if p == FLOAT or chosen[p].intersection(nodes))
        for block, nodes in blocks.items()
    }


@dataclass(frozen=True)
class Calibrated:
    """What sample audio tells a mixture: ranges, and products that GPTQ has rounded.

    `integers` are those of static INT8, see `int8_static.rounded_products`, `blocks` those of
    weights in blocks by precision, all by the names of their nodes. Other products are rounded to
    nearest. `traits` are those that it was measured for.
    """

    ranges: Mapping[str, RangeLike] = field(default_factory=dict)
    integers: Mapping[str, Shelved] = field(default_factory=dict)
    blocks: Mapping[str, Mapping[str, Packed]] = field(default_factory=dict)
    traits: Traits = NO_TRAITS


@dataclass(frozen=True)
class _MixturePlan(Plan):
    """The part of each precision's plan that is about its blocks, and the codebooks' tables.

    All are made before anything is changed: a converted weight would hide what decides the codes.
    """

    parts: Mapping[str, Plan] = field(default_factory=dict)
    tables: Mapping[ir.Node, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Mixture(Precision[_MixturePlan]):
    """Each block of a fused model in the precision that it is assigned.

    Codebooks are stored once, see `codebook_rows`. A node that its precision leaves stays float32,
    with the reason. `native` takes the optional library's products and Snakes where activations are
    integers.
    """

    blocks: Blocks
    assignment: Assignment
    calibrated: Calibrated
    native: bool = False

    @property
    def needs(self) -> Needs:
        """Feeds, where activations are quantized: those that `calibrated` was made of."""
        quantized = {STATIC, DYNAMIC} & set(self.assignment.values())
        return Needs.FEEDS if quantized else Needs.NOTHING

    def _names(self, precision: str) -> set[str]:
        return {
            name
            for block, nodes in self.blocks.items()
            if self.assignment.get(block, FLOAT) == precision
            for name in nodes
        }

    def plan(self, graph: ir.Graph, traits: Traits) -> _MixturePlan:
        """What each precision converts of its blocks, and leaves."""
        parts = {
            precision: restricted(found, self._names(precision))
            for precision, found in _targets(graph, traits).items()
        }
        return _MixturePlan(
            tuple(node for part in parts.values() for node in part.chosen),
            tuple(node for part in parts.values() for node in part.left),
            traits=traits,
            parts=parts,
            tables=codebook_rows.codebooks(graph, traits),
        )

    def apply(self, model: ir.Model, plan: _MixturePlan, evidence: Evidence) -> Conversion:
        """Give each block its precision, in place, by what the mixture was calibrated with."""
        precision: Counter[str] = Counter()
        left: dict[str, FloatNode] = {}
        mixed: list[MixedNode] = []
        for name, done in self._steps(model, plan):
            precision.update(
                {name if n in ("int8", "int4") else n: c for n, c in done.precision.items()}
            )
            left.update({node.node: node for node in done.float_nodes})
            mixed.extend(done.mixed_nodes)
        codebook_rows.share(model, plan.traits, plan.tables)
        # A step that came before another's lookups counts them among what stays.
        for node in (node for node in plan.chosen if node.op_type == "Gather"):
            left.pop(node.name or "", None)
        ops = {node.name: node.op_type for node in model.graph}
        for name in sorted(self._names(FLOAT)):
            left[name] = FloatNode(name, ops.get(name, ""), "the search left it in float32")
            precision[FLOAT] += 1
        return Conversion(dict(precision), tuple(left.values()), tuple(mixed))

    def _steps(self, model: ir.Model, plan: _MixturePlan) -> Iterator[tuple[str, Conversion]]:
        """One precision after the other, those that have something to do."""
        kept = self._ranges(model.graph)
        for name, part in plan.parts.items():
            if not part.chosen and not part.left:
                continue
            if isinstance(part, int8_static.StaticPlan):
                known, integers = Evidence(ranges=kept), self.calibrated.integers
                static = int8_static.StaticInt8(native=self.native)
                yield name, static.apply(model, part, known, integers)
            elif name == DYNAMIC:
                dynamic = int8_dynamic.DynamicInt8(native=self.native)
                yield name, dynamic.apply(model, part, Evidence())
            elif name == "float16-weights":
                yield name, half_storage.convert(model, part)
            else:
                bits = BITS_8 if name == "int8-weights" else BITS_4
                rounded = self._rounded(name, part, kept)
                yield name, bits.apply(model, part, Evidence(), rounded)

    def _ranges(self, graph: ir.Graph) -> dict[str, RangeLike]:
        """Those of what nodes in INT8 read and write: nothing else is smoothed."""
        read_by_integers = self._names(STATIC) | self._names(DYNAMIC)
        touched = {
            value.name
            for node in graph
            if node.name in read_by_integers
            for value in (*node.inputs, *node.outputs)
            if value is not None
        }
        return {name: seen for name, seen in self.calibrated.ranges.items() if name in touched}

    def _rounded(
        self, precision: str, part: Plan, kept: Mapping[str, RangeLike]
    ) -> dict[ir.Node, weight_only.Rounded]:
        """By GPTQ, but where smoothing changed a weight's rows: its input has a reader in INT8."""
        found = self.calibrated.blocks.get(precision, {})
        return {
            node: found[node.name or ""].of(node)
            for node in part.chosen
            if node.name in found and node.inputs[0] is not None and node.inputs[0].name not in kept
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
    precision; the integers wait in files in `scratch`. Raises InputError as
    `collect_channel_ranges`.
    """
    smoothed, plain = load_model(fused), load_model(fused)
    plan = int8_static.targets(smoothed.graph, traits)
    if not plan.ranges:
        return Calibrated(traits=traits)
    ranges = collect_channel_ranges(fused, feeds, plan.ranges, progress=progress)
    readers = calibrated_weights.readers_of(BITS_4.plan(plain.graph, traits).chosen)
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

    evidence = Evidence(ranges, moments_of, scratch=scratch)
    integers = int8_static.rounded_products(smoothed, plan, evidence)
    return Calibrated(ranges, integers, blocks, traits)


def recipe_of(
    blocks: Blocks, assignment: Assignment, calibrated: Calibrated, *, native: bool = False
) -> Recipe:
    """The recipe that makes this mixture; its name holds a hash of the assignment."""
    return Recipe(
        f"{name_of(assignment)}{NATIVE if native else ''}",
        "a precision of its own for each weight, by search",
        Form.MIXTURE_NATIVE if native else Form.MIXTURE,
        Mixture(blocks, assignment, calibrated, native),
        expect=("rms_norm", "relative_attention", "snake", "qkv_packing"),
        is_native=native,
    )


def name_of(assignment: Assignment) -> str:
    """`tuned-` and a hash."""
    text = json.dumps(sorted(assignment.items()))
    return f"tuned-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
