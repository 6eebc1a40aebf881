"""Weights in 4, 6 and 8 bits, by what each product's error does to the outputs, in one pass.

How much of a product's error arrives at the outputs is measured once for all products of a kind
(`collect_noise_gains`); how large it is in each form is known beforehand (`products`). The bytes
that are left go where they save most (`allocate`). Tables join in, in 8 or 16 bits. Scales, tables
and the embedding in float16 are unfolded by the runtime at load.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from calibration.ranges.noise_gains import collect_noise_gains
from optimize.precision.contract import Conversion, Evidence, Needs, Plan, Precision, Traits
from optimize.precision.shared import half_storage, tables
from optimize.precision.shared.plan import (
    code_path,
    constant_lookups,
    conversion,
    embedding_projections,
    with_finite_weights,
    without_spread_weights,
)
from optimize.precision.shared.quantize import per_channel_scales
from optimize.precision.shared.shelf import Shelf
from optimize.precision.weights.allocation import Form, Offer, allocate
from optimize.precision.weights.calibrated_weights import readers_of, widths_of
from optimize.precision.weights.products import Product, convert, products_of, stored_bytes
from optimize.precision.weights.weight_only import WeightOnly
from optimize.surgery.graph import Array, read, tensor_of, weight_of
from optimize.surgery.scopes import all_nodes
from vampnet_models.errors import NotApplicable
from vampnet_models.records.variant import MixedNode

_REST = WeightOnly(bits=8)
"""Convolutions, stacks, recurrent layers, tied tables and products of bodies: no moments say what
4 bits would do to them."""

_NO_MOMENTS = "no second moments tell what 4 bits would do to it"
_HALF = "looked up, or the embedding of what is; the runtime unfolds it at load"
_TABLE = "a table, whose columns have a scale each: its bytes help more elsewhere"
_DEAR = "it is among those whose 4 bits would cost most for the bytes"

_MIN_ELEMENTS = 512
"""Smaller tables stay: the node that unfolds them would eat the saving."""

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)|\d+$")
"""Of a layer, or of a table."""

_NODE_BYTES = 400
"""Of a node in the file: names, operator, attributes and a share of the scalars that it reads."""

_LARGEST_HALF = 65504

_HALF_TABLE, _BYTE_TABLE = Form(16, 1), Form(8, 1)
"""A lookup's: every value for itself, or a scale for each column."""


@dataclass(frozen=True)
class MixedBits(Precision[Plan]):
    """Products in 4, 6 or 8 bits, so that the model takes `share` of what the float32 one takes.

    Attributes:
        share: of the bytes of the fused float32 model, 0 to 1.
    """

    share: float

    @property
    def needs(self) -> Needs:
        """Second moments of what the products read, and feeds for the noise gains."""
        return Needs.MOMENTS | Needs.FEEDS

    @property
    def settings(self) -> Mapping[str, str]:
        """The share of bytes."""
        return {"share": f"{self.share:g}"}

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """What 8-bit weights would convert, and the activations whose moments tell of products.

        Raises NotApplicable where there is no product: bits are weighed among those.
        """
        found = _REST.plan(graph, traits)
        if not _readers(found):
            raise NotApplicable(
                "it has no product with a matrix of its own; `int8-weights` stores convolutions"
            )
        return replace(found, moments=widths_of(_readers(found)))

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """Quantize the weights of a model in place. Raises OSError when the disk is full."""
        graph = model.graph
        found = without_spread_weights(with_finite_weights(graph, plan), 8, _REST.block)
        readers = _readers(found)
        mixed = {node for nodes in readers.values() for node in nodes}
        rest = tuple(node for node in found.chosen if node not in mixed)
        embeddings = _embeddings(graph, plan.traits)
        lookups = _lookups(graph, plan.traits, rest)
        total_bytes, kept_bytes = _bytes_of(graph, mixed, rest, embeddings, lookups)
        shelf = Shelf(evidence.scratch)
        products = products_of(readers, evidence, shelf)
        gains = _gains([*(p.nodes for p in products), *lookups.values()], evidence)
        offers = {p.nodes: _product_offers(p, gains) for p in products}
        offers |= {nodes: _table_offers(nodes, gains) for nodes in lookups.values()}
        taken = allocate(offers, int(self.share * total_bytes) - kept_bytes)
        narrow, wide = (
            tuple(n for nodes in lookups.values() if taken[nodes].form == form for n in nodes)
            for form in (_BYTE_TABLE, _HALF_TABLE)
        )
        apart = [_apart(node, "int8", _NO_MOMENTS) for node in rest]
        apart += [_apart(node, "int8", _TABLE) for node in narrow]
        apart += [_apart(node, "float16", _HALF) for node in (*wide, *embeddings)]
        for product in products:
            form = taken[product.nodes].form
            if form.bits != 4:
                reason = f"in blocks of {form.block}: {_DEAR}"
                apart += [_apart(node, f"int{form.bits}", reason) for node in product.nodes]
            convert(product, form, shelf)
        for node in narrow:
            tables.convert(node, by_column=True)
        _REST.apply(model, Plan(rest, (), traits=plan.traits), Evidence())
        half_storage.convert(model, Plan((*wide, *embeddings), ()))
        names = {node.node for node in apart}
        n_four = sum(node.name not in names for node in mixed)
        left = [node for node in found.left if node.node not in names]
        return conversion(graph, n_four, "int4", left, apart)


_Nodes = tuple[ir.Node, ...]


def _readers(found: Plan) -> dict[str, list[ir.Node]]:
    """The products that get 4, 6 or 8 bits, by the activation that they read."""
    tied = tables.tied_to_lookups(found.chosen)
    return readers_of([node for node in found.chosen if node not in tied])


def _embeddings(graph: ir.Graph, traits: Traits) -> _Nodes:
    """The products of looked-up rows, where float16 holds them."""
    return tuple(n for n in embedding_projections(graph, traits) if _is_half(_weight(n)))


def _lookups(
    graph: ir.Graph, traits: Traits, rest: Collection[ir.Node]
) -> dict[ir.Value | None, _Nodes]:
    """Lookups in the main graph by their table, but for those that decide the codes."""
    decides, found = code_path(graph, traits), defaultdict[ir.Value | None, list[ir.Node]](list)
    for node in constant_lookups(graph, _MIN_ELEMENTS):
        known = node.graph is graph and node not in decides and node not in rest
        if known and _is_half(_weight(node)):
            found[node.inputs[0]].append(node)
    return {table: tuple(nodes) for table, nodes in found.items()}


def _weight(node: ir.Node) -> Array:
    tensor = weight_of(node, 0 if node.op_type == "Gather" else 1)
    assert tensor is not None
    return read(tensor)


def _is_half(values: Array) -> bool:
    """Whether float16 holds them; NaN is none of them."""
    return bool(np.abs(values).max() <= _LARGEST_HALF)


def _apart(node: ir.Node, precision: str, reason: str) -> MixedNode:
    return MixedNode(node.name or "", node.op_type, precision, reason)


def _bytes_of(
    graph: ir.Graph,
    mixed: Collection[ir.Node],
    rest: Collection[ir.Node],
    embeddings: Collection[ir.Node],
    lookups: Mapping[ir.Value | None, _Nodes],
) -> tuple[int, int]:
    """Of the float32 model, and of what the file will hold beside products and tables."""
    nodes = list(all_nodes(graph))
    values = {value for node in nodes for value in node.inputs}
    sizes = {value: t.nbytes for value in values if (t := tensor_of(value)) is not None}
    shares = dict.fromkeys(sizes, 1.0)
    shares |= {v: 0.25 for node in rest for v in node.inputs if v in sizes}
    shares |= {node.inputs[1]: 0.5 for node in embeddings}
    shares |= {node.inputs[1]: 0.0 for node in mixed} | dict.fromkeys(lookups, 0.0)
    kept = sum(size * shares[value] for value, size in sizes.items())
    n_more = len(mixed) + len(rest) + len(embeddings) + len(lookups)
    graph_bytes = _NODE_BYTES * len(nodes)
    return sum(sizes.values()) + graph_bytes, int(kept) + graph_bytes + _NODE_BYTES * n_more


def _kind(nodes: _Nodes) -> str:
    """The name of the first without the number of the layer or of the table."""
    return _NUMBER.sub("*", nodes[0].name or "")


def _gains(sources: Sequence[_Nodes], evidence: Evidence) -> Mapping[str, float]:
    """How much of the error of products and lookups arrives at the outputs, by kind."""
    groups: dict[str, list[str]] = defaultdict(list)
    for nodes in sources:
        groups[_kind(nodes)] += [node.outputs[0].name or "" for node in nodes]
    if evidence.fused is None or not groups:
        return dict.fromkeys(groups, 1.0)
    return collect_noise_gains(evidence.fused, evidence.feeds, groups)


def _product_offers(product: Product, gains: Mapping[str, float]) -> tuple[Offer, ...]:
    gain = gains[_kind(product.nodes)] * len(product.nodes)
    return tuple(
        Offer(form, stored_bytes(product.shape, form), error * gain)
        for form, error in product.errors.items()
    )


def _table_offers(nodes: _Nodes, gains: Mapping[str, float]) -> tuple[Offer, ...]:
    """Two bytes a value for nothing, or one: rows are taken to be looked up equally often."""
    table = _weight(nodes[0])
    steps = np.square(per_channel_scales(table, 1), dtype=np.float64)
    error = len(table) * float(steps.sum()) / 12
    power = max(float(np.square(table, dtype=np.float64).sum()), np.finfo(np.float64).tiny)
    damage = error / power * gains[_kind(nodes)] * len(nodes)
    return (
        Offer(_HALF_TABLE, 2 * table.size, 0.0),
        Offer(_BYTE_TABLE, table.size + 4 * table.shape[1] + _NODE_BYTES, damage),
    )
