"""Static INT8 convolutions: each channel of their inputs and outputs in steps of its own.

The runtime's QLinearConv takes one scale per tensor. Channels of a codec differ in range by a
factor of five and more, so that one scale wastes two bits on most. The steps of the input channels
are therefore folded into the weight's columns, those of the output channels into its rows, as
Nagel et al. 2019 ("Data-free quantization") do through ReLU; a Snake between two convolutions
takes the factors into its alphas, which is exact. What remains for the kernel are scales of 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from optimize.fusions.codec import native_snake, snake
from optimize.fusions.codec.native_snake import insert_native_snake
from optimize.fusions.codec.snake import Bytes, channels_of
from optimize.fusions.rule import apply
from optimize.precision.contract import RangeLike
from optimize.precision.int8 import conv_weight
from optimize.precision.int8.one_scale import takes_one_scale
from optimize.precision.int8.snake_polynomial import insert_snake
from optimize.precision.int8.snake_tiles import (
    insert_tiled_snake,
    samples_per_frame,
    tile_channels,
    tile_snakes,
)
from optimize.precision.shared.plan import float_node
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    constant,
    dims,
    graph_of,
    insert,
    int_of,
    weight_of,
)
from vampnet_models.records.variant import FloatNode

CHANNEL_AXIS = 1

_LEAST_SHARE = 1 / 64
"""A channel's range counts as at least this share of the widest one's."""


@dataclass(frozen=True)
class Steps:
    """uint8 per channel: `real[c] = sizes[c] * (stored - zero_point)`; float32 `[channels]`.

    `symmetric` ones are for int8, whose targets take one scale per activation: the steps of its
    channels are then multiplied apart.
    """

    sizes: Array
    zero_point: int
    symmetric: bool = False


@dataclass(frozen=True)
class _ConvJob:
    """A Conv to convert; `before` makes its input, `after` alone reads its output.

    `rank` counts the axes of its input `[batch, channels, ...]`, output and weight. `mean` is what
    its input channels are on average, where the bias is to be corrected by it.
    """

    node: ir.Node
    x: ir.Value
    rank: int
    input: Steps
    output: Steps
    bias: Array | None
    before: snake.Snake | None
    after: snake.Snake | None = None
    mean: Array | None = None
    is_fed: bool = False
    """Whether the Snake before it reads a converted Conv, which both share their steps with."""


@dataclass(frozen=True)
class _Stored:
    """A uint8 value and its zero point; `real` is the float value that others read instead."""

    value: ir.Value
    zero_point: int
    real: ir.Value | None = None


def tensors_of(node: ir.Node) -> list[str]:
    """The values whose ranges per channel (axis 1) a Conv needs."""
    values = (node.inputs[0], node.outputs[0])
    return [value.name or "" for value in values if value is not None]


def prepare(
    convs: Iterable[ir.Node],
    ranges: Mapping[str, RangeLike],
    correct_bias: bool = False,
    symmetric: bool = False,
) -> tuple[list[_ConvJob], list[FloatNode]]:
    """Everything that can fail, before the graph is touched; the rest stays in float.

    `correct_bias` takes the mean error of each output that its weights' rounding makes out of the
    bias, where calibration knows the mean inputs.
    """
    jobs: dict[ir.Node, _ConvJob] = {}
    left: list[FloatNode] = []
    for node in convs:
        try:
            job = _job(node, ranges, symmetric)
            jobs[node] = replace(job, mean=_mean_of(job, ranges) if correct_bias else None)
        except NoMatch as reason:
            left.append(float_node(node, str(reason)))
    makers = {job.node.outputs[0]: job for job in jobs.values()}
    for node, job in jobs.items():
        # One quantization serves both Convs where one feeds the other.
        if job.x in makers:
            jobs[node] = replace(job, input=makers[job.x].output)
            continue
        source = job.before.x.producer() if job.before is not None else None
        if job.before is None or source not in jobs or not _is_alone(job.before):
            continue
        if len(jobs[source].output.sizes) != len(job.input.sizes):
            continue  # alpha spreads one channel over many
        first = jobs[source]
        # One step per channel for both sides of the Snake, wide enough for either.
        sizes = np.maximum(first.output.sizes, job.input.sizes)
        output = replace(first.output, sizes=sizes)
        jobs[source] = replace(first, output=output, after=job.before)
        jobs[node] = replace(job, input=replace(job.input, sizes=sizes), is_fed=True)
    return list(jobs.values()), left


def steps_of(low: Array, high: Array, symmetric: bool = False) -> Steps:
    """The steps that cover `[low[c], high[c]]` with one zero point, which wastes the least.

    A `symmetric` one is 128, as far from both ends as can be.
    """
    low, high = np.minimum(low, 0).astype(np.float64), np.maximum(high, 0).astype(np.float64)
    least = max(float((high - low).max()) * _LEAST_SHARE, 2.0**-50)
    missing = np.maximum(least - (high - low), 0) / 2
    low, high = low - missing, high + missing
    # Zero lies within, never at an end: a side without steps would clip at once.
    zeros = np.array([[128]]) if symmetric else np.arange(1, 255)[:, None]
    sizes = np.maximum(-low / zeros, high / (255 - zeros))
    best = int(np.log(sizes).mean(axis=1).argmin())
    return Steps(sizes[best].astype(np.float32), int(zeros[best, 0]), symmetric)


def quantize(jobs: Iterable[_ConvJob], native: bool = False, tiled: bool = True) -> None:
    """Rewrite the Convs in place, in the order of the graph, and a decoder's large Snakes.

    `native` takes the operators of the optional library for every Snake. Snakes that are not
    `tiled` are those of the graph.
    """
    stored: dict[ir.Value, _Stored] = {}
    listed = list(jobs)
    if not listed:
        return
    graph = graph_of(listed[0].node)
    rates = samples_per_frame(graph) if tiled else defaultdict(int)
    for job in listed:
        _quantize(job, stored, None if native else rates)
    if native:
        apply(native_snake.RULE, graph)
        native_snake.add_dequantized(graph)
    else:
        tile_snakes(graph, rates)


def constant_bias(node: ir.Node) -> Array | None:
    """The bias at the third input, None without one. Raises NoMatch where it cannot be stored."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return None
    bias = constant(node.inputs[2])
    if bias is None:
        raise NoMatch("its bias is not constant")
    if not np.isfinite(bias).all():
        raise NoMatch("its bias holds NaN or infinity")
    return bias


def _job(node: ir.Node, ranges: Mapping[str, RangeLike], symmetric: bool) -> _ConvJob:
    x = node.inputs[0]
    assert x is not None
    bias = constant_bias(node)
    of_input, of_output = (
        steps_of(*extremes(name, ranges), symmetric) for name in tensors_of(node)
    )
    weight, group = weight_of(node), int_of(node, "group", 1)
    assert weight is not None
    n_out, n_in = dims(weight)[0], dims(weight)[1] * group
    rank = len(dims(weight))
    of_input, of_output = _spread(of_input, n_in), _spread(of_output, n_out)
    return _ConvJob(node, x, rank, of_input, of_output, bias, _snake_before(x, rank, n_in))


def _mean_of(job: _ConvJob, ranges: Mapping[str, RangeLike]) -> Array | None:
    mean: Array | None = getattr(ranges.get(job.x.name or ""), "mean", None)
    return None if mean is None else np.broadcast_to(mean, job.input.sizes.shape)


def _spread(steps: Steps, channels: int) -> Steps:
    """The same step for every channel where the range is that of the whole tensor."""
    return replace(steps, sizes=np.broadcast_to(steps.sizes, (channels,)))


def extremes(name: str, ranges: Mapping[str, RangeLike]) -> tuple[Array, Array]:
    """The least and the largest values, `[channels]` or `[1]`. Raises NoMatch."""
    found = ranges.get(name)
    if found is None:
        raise NoMatch(f"calibration gave no range for {name}")
    low, high = np.atleast_1d(found.low), np.atleast_1d(found.high)
    if not (np.isfinite(low).all() and np.isfinite(high).all()) or (low > high).any():
        raise NoMatch(f"the range of {name} is [{low.min()}, {high.max()}]")
    return low, high


def _snake_before(x: ir.Value, rank: int, channels: int) -> snake.Snake | None:
    """The Snake that makes x and that nothing else reads, with an alpha for each channel."""
    add = x.producer()
    if add is None or add.op_type != "Add" or len(x.consumers()) != 1 or x.is_graph_output():
        return None
    for value in add.inputs:
        scaled = value.producer() if value is not None else None
        square = _input_from(scaled, "Mul")
        sine = _input_from(square, "Sin")
        if sine is None:
            continue
        try:
            match = snake.by_channel(snake.match(sine), rank, channels)
        except NoMatch:
            return None
        return match if match.output is x else None
    return None


def _input_from(node: ir.Node | None, op_type: str) -> ir.Node | None:
    for value in node.inputs if node is not None else ():
        producer = value.producer() if value is not None else None
        if producer is not None and producer.op_type == op_type:
            return producer
    return None


def _is_alone(found: snake.Snake) -> bool:
    """Whether the Snake alone reads its input: by the product with alpha and by the sum."""
    return not found.x.is_graph_output() and len(found.x.uses()) == 2


def _quantize(
    job: _ConvJob, stored: dict[ir.Value, _Stored], rates: Mapping[ir.Value, int] | None
) -> None:
    node = job.node
    conv_weight.quantize(node, job.input.sizes, job.output.sizes, job.bias, job.mean)
    node.replace_input_with(0, _input(job, stored, rates))
    _quantize_output(job, stored)


def _input(
    job: _ConvJob, stored: Mapping[ir.Value, _Stored], rates: Mapping[ir.Value, int] | None
) -> ir.Value:
    """The Conv's input in units of its steps, through 8 bits."""
    node, x, found = job.node, job.x, job.before
    name = f"{node.name}/input"
    if x in stored:
        return _load(node, stored[x], None, name)
    if found is None:
        kept = _store(node, x, _column(job.input.sizes, job.rank), job.input.zero_point, name)
    else:
        kept = _stored_snake(job, found, stored, None if rates is None else rates[x])
    return _load(node, kept, None, name)


def _stored_snake(
    job: _ConvJob, found: snake.Snake, stored: Mapping[ir.Value, _Stored], rate: int | None
) -> _Stored:
    """The Snake before the Conv, quantized; by the native library where `rate` is None."""
    node, held, zero = job.node, stored.get(found.x), job.input.zero_point
    name = f"{node.name}/input"
    alpha, inverse, sizes = found.alpha, found.inverse, job.input.sizes
    steps = _column(sizes, job.rank)
    if job.is_fed:
        # The Snake of `x / steps`: the same function with other alphas.
        alpha, inverse = alpha * steps, inverse / steps
    has_kernel = channels_of(found.x) == len(sizes)
    tile = None if rate is None else tile_channels(len(sizes), rate)
    if has_kernel and (rate is None or tile is not None):
        x = found.x if held is None else held.value if job.is_fed else held.real or found.x
        loaded = Bytes(None, held.zero_point) if held is not None and job.is_fed else None
        kept = Bytes(None if job.is_fed else sizes, zero)
        if tile is None:
            made = insert_native_snake(node, x, alpha, inverse, found.name, loaded, kept)
        else:
            made = insert_tiled_snake(node, x, alpha, inverse, found.name, tile, loaded, kept)
        return _Stored(made, zero)
    if job.is_fed:
        angle = _load(node, stored[found.x], None, f"{name}/angle")
        made = insert_snake(node, angle, alpha, inverse, found.name)
        return _store(node, made, None, zero, name)
    real = found.x if held is None or held.real is None else held.real
    return _store(node, insert_snake(node, real, alpha, inverse, found.name), steps, zero, name)


def _quantize_output(job: _ConvJob, stored: dict[ir.Value, _Stored]) -> None:
    """Store the output, which is in units of its steps already, for its readers."""
    node, output = job.node, job.node.outputs[0]
    readers, is_output, name = tuple(output.uses()), output.is_graph_output(), output.name
    # Nodes are put before another one: the mark stands where those behind the Conv go.
    mark = ir.Node("", "Identity", [output], name=f"{node.name}/mark")
    graph_of(node).insert_after(node, mark)
    held = _store(mark, output, None, job.output.zero_point, f"{node.name}/output")
    stored[output] = held
    if job.after is None:
        whole = job.output.symmetric or takes_one_scale(output)
        real = _real(mark, held, job.output, job.rank, f"{node.name}/output", whole=whole)
        stored[output] = replace(held, real=real)
        for reader, index in readers:
            reader.replace_input_with(index, real)
        if is_output:
            graph = graph_of(node)
            for index, listed in enumerate(graph.outputs):
                if listed is output:
                    graph.outputs[index] = real
            output.name = f"{name}.steps"
            real.name = name
    graph_of(node).remove(mark, safe=True)


def _column(sizes: Array, rank: int) -> Array:
    """Steps `[channels]` as they broadcast to `[batch, channels, ...]`."""
    return sizes.reshape(1, -1, *(1 for _ in range(rank - 2)))


def _store(before: ir.Node, value: ir.Value, steps: Array | None, zero: int, name: str) -> _Stored:
    """QuantizeLinear in steps per channel, or of 1 where the value is in units of its steps."""
    if steps is not None:  # as a product: the runtime's kernel for many scales is 10 times slower
        rates = (1 / steps).astype(np.float32)
        factors = add_constant(graph_of(before), f"{name}/rates", rates)
        value = insert(before, "Mul", [value, factors], name=f"{name}/x", shapes=[value.shape])[0]
    scales, zeros, attributes = _parameters(before, None, zero, name)
    (held,) = insert(
        before,
        "QuantizeLinear",
        [value, scales, zeros],
        attributes,
        name=f"{name}/quantize",
        dtypes=[ir.DataType.UINT8],
        shapes=[value.shape],
    )
    return _Stored(held, zero)


def _load(before: ir.Node, held: _Stored, sizes: Array | None, name: str) -> ir.Value:
    """DequantizeLinear to real values, or to units of the steps."""
    scales, zeros, attributes = _parameters(before, sizes, held.zero_point, name)
    inputs = [held.value, scales, zeros]
    name, shape = f"{name}/dequantize", held.value.shape
    return insert(before, "DequantizeLinear", inputs, attributes, name=name, shapes=[shape])[0]


def _real(
    before: ir.Node, held: _Stored, steps: Steps, rank: int, name: str, *, whole: bool
) -> ir.Value:
    """The real values of a stored output; dequantized by one scale first where `whole`."""
    if not whole:
        return _load(before, held, steps.sizes, name)
    units = _load(before, held, None, name)
    sizes = _column(steps.sizes, rank).astype(np.float32)
    inputs = [units, add_constant(graph_of(before), f"{name}/sizes", sizes)]
    return insert(before, "Mul", inputs, name=f"{name}/real", shapes=[units.shape])[0]


def _parameters(
    node: ir.Node, sizes: Array | None, zero: int, name: str
) -> tuple[ir.Value, ir.Value, dict[str, int]]:
    graph = graph_of(node)
    scales = np.float32(1) if sizes is None else sizes
    zeros = np.full(np.shape(scales), zero, np.uint8)
    return (
        add_constant(graph, f"{name}.scale", np.asarray(scales, np.float32)),
        add_constant(graph, f"{name}.zero", zeros),
        {} if sizes is None else {"axis": 1},
    )
