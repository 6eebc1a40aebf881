"""Static INT8: QDQ with ranges from calibration, where the runtime has a kernel for it.

U8 activations per tensor (asymmetric; S8 and symmetric where asked for), S8 weights per channel
(symmetric), INT32 biases. Conv has its output quantized too and becomes QLinearConv (`int8_conv`);
MatMul keeps a float output and becomes MatMulIntegerToFloat: as fast, and without the error of a
quantized output. The spread of the activations' channels is moved into the weights first
(`smooth_quant`); what attention and gated units give, and what the head reads, has a scale per row
(`row_scales`). Weights of products are rounded with the second moments of their inputs, where those
are at hand (`compensated`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from calibration.ranges.observers import ChannelRange, Range
from optimize.precision.contract import (
    Conversion,
    Evidence,
    Needs,
    Plan,
    Precision,
    RangeLike,
    Traits,
)
from optimize.precision.int8 import compensated, conv_exclusions, row_scales, smooth_quant
from optimize.precision.int8 import conv as int8_conv
from optimize.precision.int8 import dynamic as int8_dynamic
from optimize.precision.int8.conv import extremes
from optimize.precision.int8.headroom import LEAST_SHARE, with_room
from optimize.precision.int8.product_bias import least_scales
from optimize.precision.int8.signed import make_signed
from optimize.precision.shared import native_product, recurrent, tables
from optimize.precision.shared.integer_weight import of_product
from optimize.precision.shared.plan import (
    conversion,
    family_exclusions,
    float_node,
    heads,
    in_bodies,
    merged,
    plan,
    with_finite_weights,
    without_spread_weights,
)
from optimize.precision.shared.shelf import Integers, Shelved
from optimize.precision.weights.weight_only import per_channel
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    dims,
    graph_of,
    insert,
    weight_of,
)
from vampnet_models.records.variant import FloatNode, MixedNode

_DYNAMIC = "int8-dynamic"


@dataclass(frozen=True)
class Activation:
    """A uint8 quantization: `real = scale * (stored - zero_point)`."""

    scale: np.float32
    zero_point: np.uint8


@dataclass(frozen=True)
class _Job:
    """A MatMul to convert, and the quantization of its input, or of its scaled rows."""

    node: ir.Node
    input: Activation
    by_row: bool = False


@dataclass(frozen=True)
class StaticPlan(Plan):
    """A plan with the nodes that are converted `apart`, with reasons, and `lookups` in tables.

    Those apart are what calibration cannot observe, or has no kernel for known ranges: they become
    dynamic INT8 by the same integers. Of those `stored`, the weights alone take 8 bits.
    """

    apart: Mapping[ir.Node, str] = field(default_factory=dict)
    stored: Mapping[ir.Node, str] = field(default_factory=dict)
    lookups: tuple[ir.Node, ...] = ()


def targets(graph: ir.Graph, traits: Traits) -> StaticPlan:
    """The products and convolutions that static INT8 converts, and what it leaves, with reasons."""
    exclusions = merged(
        family_exclusions(graph, traits),
        in_bodies(graph),
        conv_exclusions.narrow_convs(graph, traits),
        conv_exclusions.at_frame_rate(graph, traits),
        conv_exclusions.noisy_convs(graph, traits),
        recurrent.exclusions(graph),
        recurrent.at_run_time(graph),
    )
    found = plan(graph, ("MatMul", "Conv"), exclusions)
    ranges = _observed(graph, found)
    moments = compensated.widths_of(found.chosen) if ranges else {}
    return StaticPlan(found.chosen, found.left, ranges, moments, traits)


def _observed(graph: ir.Graph, found: Plan) -> dict[str, int | None]:
    """The values whose ranges are needed, by name: per channel of that axis, or as a whole."""
    scoring, smoothed = heads(graph), smooth_quant.sites(graph)
    axes: dict[str, int | None] = {}
    for node in found.chosen:
        if node.op_type == "Conv":
            axes.update(dict.fromkeys(int8_conv.tensors_of(node), int8_conv.CHANNEL_AXIS))
        elif node not in scoring and node.inputs[0] is not None:
            name = node.inputs[0].name or ""
            axes.setdefault(name, smooth_quant.CHANNEL_AXIS if name in smoothed else None)
    return axes


@dataclass(frozen=True)
class StaticInt8(Precision[StaticPlan]):
    """How activations are stored, and whether biases make up for the mean error of weights.

    `signed` activations are symmetric, for targets that know no operators of dynamic INT8. `native`
    takes the optional library's Snakes, which know uint8 alone, and its products, whose rows have
    ranges of their own at run time. `tables` gives the rows of long
    tables 8 bits too.
    """

    signed: bool = False
    correct_bias: bool = False
    native: bool = False
    tables: bool = False

    @property
    def needs(self) -> Needs:
        """Ranges of what is quantized, and second moments of what products read."""
        return Needs.RANGES | Needs.MOMENTS

    @property
    def settings(self) -> Mapping[str, str]:
        """By name, in words."""
        return {
            "activations": "s8" if self.signed else "u8",
            "rounding": "gptq",
            "bias correction": "on" if self.correct_bias else "off",
            **({"tables": "int8"} if self.tables else {}),
        }

    def plan(self, graph: ir.Graph, traits: Traits) -> StaticPlan:
        """The targets, what is converted apart, and the lookups of tables that products share."""
        found = targets(graph, traits)
        apart = {} if self.signed else int8_dynamic.unobserved(graph, traits)
        # Beside integer arithmetic alone: weights in 8 bits are another recipe.
        kept = family_exclusions(graph, traits)
        stored = conv_exclusions.stored(graph, traits, kept) if found.chosen else {}
        names = {node.name for node in (*apart, *stored)}
        left = tuple(each for each in found.left if each.node not in names)
        products = (*found.chosen, *apart)
        lookups = tables.lookups_of(products, graph, traits, every=self.tables)
        return replace(found, left=left, apart=apart, stored=stored, lookups=lookups)

    def apply(
        self,
        model: ir.Model,
        plan: StaticPlan,
        evidence: Evidence,
        integers: Mapping[str, Shelved] | None = None,
    ) -> Conversion:
        """Insert QDQ into a model in place; weights are read when they are written.

        With the moments of the model's activations, products are rounded by GPTQ, unless `integers`
        of `rounded_products` are given. A node whose ranges are missing or not finite stays in
        float and says so.
        """
        graph, ranges = model.graph, evidence.ranges
        smoothed = smooth_quant.smooth(graph, ranges)
        limits = _limits(graph, ranges, smoothed, plan.traits)
        found = without_spread_weights(with_finite_weights(graph, plan))
        apart, left_apart = _convertible(graph, plan.apart)
        stored, left_stored = _convertible(graph, plan.stored)
        multiplied = tables.products_of((*found.chosen, *apart))
        tied = [node for node in plan.lookups if self.tables or node.inputs[0] in multiplied]
        more = with_finite_weights(graph, Plan(tuple(tied), ())).chosen
        convs = [node for node in found.chosen if node.op_type == "Conv"]
        roomy = _roomy(smoothed, plan.traits, LEAST_SHARE)
        conv_jobs, left_convs = int8_conv.prepare(convs, roomy, self.correct_bias, self.signed)
        jobs, left_products = _jobs(graph, found, _roomy(smoothed, plan.traits), self.signed)
        if integers is None and evidence.moments_of is not None:
            integers = _rounded(jobs, smoothed, evidence)
        int8_conv.quantize(conv_jobs, self.native, tiled=not self.signed)
        pairs: dict[ir.Value, ir.Value] = {}
        nodes = [job.node for job in jobs] if self.native else []
        natives = native_product.taken_products(graph, nodes)
        for job in jobs:
            shelved = (integers or {}).get(job.node.name or "")
            if job.node in natives:
                chosen = None if shelved is None else shelved.read
                native_product.integer_product(job.node, natives[job.node], chosen, job.by_row)
            else:
                _quantize_node(graph, job, pairs, shelved)
        if self.signed:
            make_signed(graph)
        int8_dynamic.convert_nodes((*apart, *more), multiplied)
        for node in stored:
            per_channel(node)
        left = (*found.left, *left_apart, *left_stored, *left_convs, *left_products)
        n_static = len(conv_jobs) + len(jobs) + len(more)
        done = conversion(graph, n_static, "int8", left, _mixed(apart, stored))
        return replace(tables.told(done, graph, plan.traits), limits=limits)


def _convertible(
    graph: ir.Graph, apart: Mapping[ir.Node, str]
) -> tuple[dict[ir.Node, str], tuple[FloatNode, ...]]:
    """Those whose weights integers can hold, and why the others are left."""
    found = without_spread_weights(with_finite_weights(graph, Plan(tuple(apart), ())))
    return {node: apart[node] for node in found.chosen}, found.left


def _mixed(apart: Mapping[ir.Node, str], stored: Mapping[ir.Node, str]) -> list[MixedNode]:
    return [
        MixedNode(
            node.name or "",
            node.op_type,
            int8_dynamic.STORED
            if node in stored or reason == int8_dynamic.WEIGHTS_ALONE
            else _DYNAMIC,
            reason,
        )
        for node, reason in (*apart.items(), *stored.items())
    ]


def rounded_products(model: ir.Model, plan: Plan, evidence: Evidence) -> dict[str, Shelved]:
    """The integers that `apply` finds for the products by GPTQ, by the names of their nodes.

    They are the same when only a part of the products is converted: what smoothing an activation
    does to the columns of the product before it changes scales, not integers. The graph is smoothed
    in place.
    """
    graph = model.graph
    smoothed = smooth_quant.smooth(graph, evidence.ranges)
    found = without_spread_weights(with_finite_weights(graph, plan))
    jobs, _ = _jobs(graph, found, smoothed, signed=False)
    return _rounded(jobs, smoothed, evidence)


def _rounded(
    jobs: list[_Job], smoothed: Mapping[str, RangeLike], evidence: Evidence
) -> dict[str, Shelved]:
    assert evidence.moments_of is not None
    nodes, ranges = [job.node for job in jobs], evidence.ranges
    found = compensated.rounded(nodes, ranges, smoothed, evidence.moments_of, evidence.scratch)
    return {node.name or "": integers for node, integers in found.items()}


def _jobs(
    graph: ir.Graph, found: Plan, smoothed: Mapping[str, RangeLike], signed: bool
) -> tuple[list[_Job], list[FloatNode]]:
    """The products to convert, and those whose ranges do not allow it."""
    jobs: list[_Job] = []
    left: list[FloatNode] = []
    by_row = _read_by_row(graph)
    for node in found.chosen:
        if node.op_type == "Conv":
            continue
        try:
            jobs.append(_job(node, smoothed, by_row, signed))
        except NoMatch as reason:
            left.append(float_node(node, str(reason)))
    return jobs, left


def _read_by_row(graph: ir.Graph) -> set[ir.Node]:
    """The products whose input has a scale per row."""
    sites = smooth_quant.sites(graph).values()
    return {node for site in sites if site.columns is not None for node in site.readers} | set(
        heads(graph)
    )


def _roomy(
    ranges: Mapping[str, RangeLike], traits: Traits, least_share: float = 0.0
) -> dict[str, RangeLike]:
    """The ranges with room for other input, unless audio was seen through the whole chain."""
    return dict(ranges) if traits.is_calibrated_on_audio else with_room(ranges, least_share)


def _limits(
    graph: ir.Graph,
    ranges: Mapping[str, RangeLike],
    smoothed: Mapping[str, RangeLike],
    traits: Traits,
) -> dict[str, Range | ChannelRange]:
    """The values that the quantizers cover, wider than what calibration saw, of a smoothed graph.

    A smoothed activation has one range, in units of each channel's own divisor.
    """
    after, of_convs = _roomy(smoothed, traits), _roomy(ranges, traits, LEAST_SHARE)
    sites = smooth_quant.sites(graph)
    found: dict[str, Range | ChannelRange] = {}
    for name, seen in ranges.items():
        try:
            low, high = extremes(name, ranges)
            whole = extremes(name, after)
            wide = extremes(name, of_convs)
        except NoMatch:
            # Nothing is quantized by it.
            continue
        least, most = float(min(whole[0].min(), 0)), float(max(whole[1].max(), 0))
        if name in sites:
            spread, left = high - low, whole[1] - whole[0]
            divisors = np.divide(spread, left, out=np.ones_like(spread), where=left > 0)
            found[name] = ChannelRange(divisors * least, divisors * most)
        elif isinstance(seen, ChannelRange):
            steps = int8_conv.steps_of(*wide)
            below, above = -steps.zero_point, 255 - steps.zero_point
            found[name] = ChannelRange(steps.sizes * below, steps.sizes * above)
        else:
            found[name] = Range(least, most)
    return found


def activation_of(low: float, high: float) -> Activation:
    """The uint8 quantization that covers [low, high] and represents 0 exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255, 2.0**-60))
    zero_point = np.uint8(np.clip(round(-low / float(scale)), 0, 255))
    return Activation(scale, zero_point)


def _job(
    node: ir.Node, ranges: Mapping[str, RangeLike], by_row: set[ir.Node], symmetric: bool
) -> _Job:
    """Everything that can fail, before the graph is touched."""
    x = node.inputs[0]
    assert x is not None
    if node in by_row:
        # Divided by its own largest magnitude, a row lies within these.
        low, high = -1.0, 1.0
    else:
        lows, highs = extremes(x.name or "", ranges)
        low, high = float(lows.min()), float(highs.max())
    if not symmetric:
        return _Job(node, activation_of(low, high), node in by_row)
    found = activation_of(min(low, -high), max(high, -low))
    # Half a step beside 0, which rounding may take to either side: signed values have it at 128.
    return _Job(node, replace(found, zero_point=np.uint8(128)), node in by_row)


def _quantize_node(
    graph: ir.Graph, job: _Job, pairs: dict[ir.Value, ir.Value], integers: Shelved | None
) -> None:
    node = row_scales.row_scaled(job.node) if job.by_row else job.node
    x = node.inputs[0]
    assert x is not None
    if x not in pairs:
        pairs[x] = _insert_pair(node, x, job.input)
    node.replace_input_with(0, pairs[x])
    least = least_scales(node, job.input.scale)
    _quantize_weight(node, None if integers is None else integers.read, least)


def _insert_pair(before: ir.Node, value: ir.Value, activation: Activation) -> ir.Value:
    """QuantizeLinear and DequantizeLinear; returns the latter's output."""
    graph, name = graph_of(before), value.name
    scale = add_constant(graph, f"{name}.scale", np.array(activation.scale, np.float32))
    zero = add_constant(graph, f"{name}.zero", np.array(activation.zero_point, np.uint8))
    (stored,) = insert(
        before,
        "QuantizeLinear",
        [value, scale, zero],
        name=f"{name}/quantize",
        dtypes=[ir.DataType.UINT8],
        shapes=[value.shape],
    )
    inputs = [stored, scale, zero]
    name = f"{name}/dequantize"
    return insert(before, "DequantizeLinear", inputs, name=name, shapes=[value.shape])[0]


def _quantize_weight(
    node: ir.Node, chosen: Callable[[], Integers] | None, least: Array | None
) -> None:
    """Put int8 values behind DequantizeLinear, the nearest ones unless they are chosen."""
    found, tensor = of_product(node, chosen, least), weight_of(node)
    assert tensor is not None
    inputs, name = [found.values, found.scales], f"{node.name}/weight"
    (new,) = insert(node, "DequantizeLinear", inputs, {"axis": 1}, name=name, shapes=[dims(tensor)])
    node.replace_input_with(1, new)
