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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from calibration.ranges.observers import ChannelRange, Range
from optimize.precision.contract import NO_TRAITS, Conversion, MomentsOf, Plan, RangeLike, Traits
from optimize.precision.int8 import compensated, conv_exclusions, row_scales, smooth_quant
from optimize.precision.int8 import conv as int8_conv
from optimize.precision.int8 import dynamic as int8_dynamic
from optimize.precision.int8.conv import extremes
from optimize.precision.int8.headroom import LEAST_SHARE, with_room
from optimize.precision.int8.product_bias import least_scales
from optimize.precision.int8.signed import make_signed
from optimize.precision.shared import recurrent, tables
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
)
from optimize.precision.shared.shelf import Integers, Shelved
from optimize.precision.shared.spread_weights import without_spread_weights
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    dims,
    drop_unused,
    graph_of,
    insert,
    weight_of,
)
from optimize.surgery.stand_ins import restore
from vampnet_models.records.variant import FloatNode, MixedNode

_DYNAMIC = "int8-dynamic"


@dataclass(frozen=True)
class Settings:
    """How activations are stored, and whether biases make up for the mean error of weights.

    `native` takes the optional library's Snakes, which know uint8 alone. `tables` gives the rows of
    long tables 8 bits too.
    """

    signed: bool = False
    correct_bias: bool = False
    native: bool = False
    tables: bool = False


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


def targets(graph: ir.Graph, traits: Traits = NO_TRAITS) -> Plan:
    """The nodes that static INT8 converts, and the heavy ones that it leaves, with reasons."""
    exclusions = merged(
        family_exclusions(graph, traits),
        in_bodies(graph),
        conv_exclusions.narrow_convs(graph, traits),
        conv_exclusions.at_frame_rate(graph, traits),
        conv_exclusions.noisy_convs(graph, traits),
        recurrent.exclusions(graph),
        recurrent.at_run_time(graph),
    )
    return plan(graph, ("MatMul", "Conv"), exclusions)


def tensors_to_observe(graph: ir.Graph, traits: Traits = NO_TRAITS) -> dict[str, int | None]:
    """The values whose ranges `convert` needs, by name: per channel of that axis, or as a whole."""
    scoring, smoothed = heads(graph), smooth_quant.sites(graph)
    axes: dict[str, int | None] = {}
    for node in targets(graph, traits).chosen:
        if node.op_type == "Conv":
            axes.update(dict.fromkeys(int8_conv.tensors_of(node), int8_conv.CHANNEL_AXIS))
        elif node not in scoring and node.inputs[0] is not None:
            name = node.inputs[0].name or ""
            axes.setdefault(name, smooth_quant.CHANNEL_AXIS if name in smoothed else None)
    return axes


def moments_to_collect(graph: ir.Graph, traits: Traits = NO_TRAITS) -> dict[str, int]:
    """The activations whose second moments `convert` makes use of, with their channels."""
    return compensated.widths_of(targets(graph, traits).chosen)


def convert(
    model: ir.Model,
    ranges: Mapping[str, RangeLike],
    chosen: Plan | None = None,
    settings: Settings = Settings(),
    moments_of: MomentsOf | None = None,
    scratch: Path | None = None,
    integers: Mapping[str, Shelved] | None = None,
    traits: Traits = NO_TRAITS,
) -> Conversion:
    """Insert QDQ into a model in place; weights are read when they are written.

    What calibration cannot observe, or has no kernel for known ranges, becomes dynamic INT8 by the
    same integers; not where activations are signed, whose targets know no such operators.

    `chosen` are its `targets` or a part of them. With `moments_of` the model's activations,
    products are rounded by GPTQ, unless `integers` of `rounded_products` are given. A node whose
    ranges are missing or not finite stays in float and says so.
    """
    graph = model.graph
    smoothed = smooth_quant.smooth(graph, ranges)
    found = with_finite_weights(graph, chosen or targets(graph, traits))
    found = without_spread_weights(found)
    apart = {} if chosen or settings.signed else int8_dynamic.unobserved(graph, traits)
    finite = without_spread_weights(with_finite_weights(graph, Plan(tuple(apart), ()))).chosen
    apart = {node: apart[node] for node in finite}
    products = (*found.chosen, *apart)
    more = () if chosen else tables.lookups_of(products, graph, traits, every=settings.tables)
    more = with_finite_weights(graph, Plan(more, ())).chosen
    multiplied = tables.products_of(products)
    convs = [node for node in found.chosen if node.op_type == "Conv"]
    conv_jobs, left_convs = int8_conv.prepare(
        convs, _roomy(smoothed, traits, LEAST_SHARE), settings.correct_bias, settings.signed
    )
    roomy = _roomy(smoothed, traits)
    jobs, left_products = _jobs(graph, found, roomy, settings.signed)
    names = {node.name for node in apart}
    left = [each for each in found.left if each.node not in names]
    left += [*left_convs, *left_products]
    if integers is None and moments_of is not None:
        integers = _rounded(jobs, ranges, smoothed, moments_of, scratch)
    int8_conv.quantize(conv_jobs, settings.native, tiled=not settings.signed)
    pairs: dict[ir.Value, ir.Value] = {}
    for job in jobs:
        _quantize_node(graph, job, pairs, (integers or {}).get(job.node.name or ""))
    if settings.signed:
        make_signed(graph)
    int8_dynamic.convert_nodes((*apart, *more), multiplied)
    drop_unused(model)
    mixed = [
        MixedNode(
            node.name or "",
            node.op_type,
            int8_dynamic.STORED if reason == int8_dynamic.WEIGHTS_ALONE else _DYNAMIC,
            reason,
        )
        for node, reason in apart.items()
    ]
    done = conversion(graph, len(conv_jobs) + len(jobs) + len(more), "int8", left, mixed)
    if chosen:
        return done
    done = tables.told(done, graph, traits)
    restore(model)
    return done


def rounded_products(
    model: ir.Model,
    ranges: Mapping[str, RangeLike],
    moments_of: MomentsOf,
    scratch: Path | None = None,
    traits: Traits = NO_TRAITS,
) -> dict[str, Shelved]:
    """The integers that `convert` finds for the products by GPTQ, by the names of their nodes.

    They are the same when only a part of the products is converted: what smoothing an activation
    does to the columns of the product before it changes scales, not integers. The graph is smoothed
    in place.
    """
    graph = model.graph
    smoothed = smooth_quant.smooth(graph, ranges)
    found = without_spread_weights(with_finite_weights(graph, targets(graph, traits)))
    jobs, _ = _jobs(graph, found, smoothed, signed=False)
    return _rounded(jobs, ranges, smoothed, moments_of, scratch)


def _rounded(
    jobs: list[_Job],
    before: Mapping[str, RangeLike],
    after: Mapping[str, RangeLike],
    moments_of: MomentsOf,
    scratch: Path | None,
) -> dict[str, Shelved]:
    nodes = [job.node for job in jobs]
    found = compensated.rounded(nodes, before, after, moments_of, scratch)
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


def limits(
    graph: ir.Graph, ranges: Mapping[str, RangeLike], traits: Traits = NO_TRAITS
) -> dict[str, Range | ChannelRange]:
    """The values that the quantizers of `convert` cover, wider than what calibration saw.

    A smoothed activation has one range, in units of each channel's own divisor. The graph is
    smoothed in place.
    """
    after = _roomy(smooth_quant.smooth(graph, ranges), traits)
    of_convs = _roomy(ranges, traits, LEAST_SHARE)
    found: dict[str, Range | ChannelRange] = {}
    for name, seen in ranges.items():
        low, high = extremes(name, ranges)
        whole = extremes(name, after)
        least, most = float(min(whole[0].min(), 0)), float(max(whole[1].max(), 0))
        if name in smooth_quant.sites(graph):
            spread, left = high - low, whole[1] - whole[0]
            divisors = np.divide(spread, left, out=np.ones_like(spread), where=left > 0)
            found[name] = ChannelRange(divisors * least, divisors * most)
        elif isinstance(seen, ChannelRange):
            steps = int8_conv.steps_of(*extremes(name, of_convs))
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
        return _Job(node, activation_of(-1.0, 1.0), by_row=True)
    lows, highs = extremes(x.name or "", ranges)
    low, high = float(lows.min()), float(highs.max())
    if symmetric:
        low, high = min(low, -high), max(high, -low)
    return _Job(node, activation_of(low, high))


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
