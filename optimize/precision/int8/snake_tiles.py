"""Snake a few channels at a time: a Scan whose tensors stay in the cache.

Each of a Snake's ten elementwise operators passes over tensors of tens of megabytes: at full size
they wait for memory. The Scan's body does all of them, and the quantization on both sides, on a
slice of some channels; only bytes are read from memory and written to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from optimize.fusions.codec import snake
from optimize.fusions.codec.snake import Bytes
from optimize.precision.int8.snake_polynomial import P, frequency_of, gain_of, polynomial
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    graph_of,
    insert,
    ints_of,
    substitute,
)

_TYPICAL_FRAMES = 288
"""Five seconds: the length that slices are sized for; other lengths are as right."""

_TILE_ELEMENTS = 200_000
"""A slice's tensors of float32 stay in a core's cache of 1 MB, and outweigh an operator's start."""


def samples_per_frame(graph: ir.Graph) -> dict[ir.Value, int]:
    """How many samples each value of a decoder has per frame: the strides of its ConvTransposes."""
    rates: dict[ir.Value, int] = {}
    for node in graph:
        rate = max((rates.get(v, 1) for v in node.inputs if v is not None), default=1)
        if node.op_type == "ConvTranspose":
            rate *= math.prod(ints_of(node, "strides", (1,)))
        rates.update(dict.fromkeys(node.outputs, rate))
    return rates


def tile_channels(channels: int, rate: int) -> int | None:
    """How many channels a slice has; None where the whole tensor fits the cache anyway."""
    samples = _TYPICAL_FRAMES * rate
    if channels * samples <= 2 * _TILE_ELEMENTS:
        return None
    fitting = [n for n in range(1, channels) if channels % n == 0 and n * samples <= _TILE_ELEMENTS]
    return max(fitting, default=1)


def tile_snakes(graph: ir.Graph, rates: Mapping[ir.Value, int]) -> None:
    """Rewrite the large Snakes that have their sines, those before float convolutions."""
    for sine in list(snake.candidates(graph)):
        try:
            found = snake.match(sine)
            channels = snake.channels_of(found.x)
            if channels is None:
                continue
            found = snake.by_channel(found, 3, channels)
        except NoMatch:
            continue
        tile = tile_channels(found.alpha.size, rates.get(found.x, 1))
        if tile is not None:
            before = found.output.producer()
            assert before is not None
            alpha, inverse = found.alpha, found.inverse
            made = insert_tiled_snake(before, found.x, alpha, inverse, found.name, tile)
            substitute(found.output, made)


def insert_tiled_snake(
    before: ir.Node,
    x: ir.Value,
    alpha: Array,
    inverse: Array,
    name: str,
    tile: int,
    loaded: Bytes | None = None,
    stored: Bytes | None = None,
) -> ir.Value:
    """The Snake of `x [batch, channels, samples]`, `tile` channels at a time.

    `loaded` says that x is uint8 (in steps of 1), `stored` that the result shall be; float32
    otherwise. alpha and inverse are `[1, channels, 1]`.
    """
    graph = graph_of(before)
    channels = alpha.size

    def op(op_type: str, inputs: list[ir.Value], label: str, **more: object) -> ir.Value:
        attributes = more.pop("attributes", None)
        assert attributes is None or isinstance(attributes, dict)
        dtype = ir.DataType.UINT8 if more.get("bytes") else ir.DataType.FLOAT
        if more.get("integers"):
            dtype = ir.DataType.INT64
        return insert(before, op_type, inputs, attributes, name=f"{name}/{label}", dtypes=[dtype])[
            0
        ]

    def ints(values: list[int], label: str) -> ir.Value:
        return add_constant(graph, f"{name}/{label}", np.array(values, np.int64))

    batch = op("Shape", [x], "batch", attributes={"start": 0, "end": 1}, integers=True)
    parameters = {"frequency": frequency_of(alpha), "gain": gain_of(inverse)}
    if stored is not None and stored.sizes is not None:
        parameters["steps"] = stored.sizes
    slices = op("Reshape", [x, ints([-1, tile, 0], "slices")], "tiles", bytes=loaded is not None)
    inputs = [slices]
    for label, values in parameters.items():
        dims = (channels // tile, tile) if label == "steps" else (channels // tile, tile, 1)
        # The Scan walks over the slices of all items of a batch: once per item come the parameters.
        value = add_constant(graph, f"{name}/{label}", values.astype(np.float32).reshape(dims))
        repeats = op(
            "Concat",
            [batch, ints([1] * (len(dims) - 1), f"{label}.ones")],
            f"{label}.repeats",
            attributes={"axis": 0},
            integers=True,
        )
        inputs.append(op("Tile", [value, repeats], f"{label}.tiled"))
    body = _body(name, tile, list(parameters), loaded, stored)
    done = op(
        "Scan",
        inputs,
        "scan",
        attributes={"body": body, "num_scan_inputs": len(inputs)},
        bytes=stored is not None,
    )
    shape = ints([-1, channels, 0], "whole")
    result = op("Reshape", [done, shape], "untiled", bytes=stored is not None)
    result.shape = x.shape
    return result


def _body(
    name: str, tile: int, parameters: list[str], loaded: Bytes | None, stored: Bytes | None
) -> ir.Graph:
    """One slice `[tile, samples]`: self-contained, so that its shapes can be told."""
    nodes: list[ir.Node] = []
    constants: list[ir.Value] = []

    def const(values: Array, label: str) -> ir.Value:
        tensor = ir.Tensor(values, name=f"{name}/tile/{label}")
        value = ir.Value(
            name=tensor.name,
            type=ir.TensorType(tensor.dtype),
            shape=tensor.shape,
            const_value=tensor,
        )
        constants.append(value)
        return value

    def given(label: str, dtype: ir.DataType, shape: tuple[int | None, ...]) -> ir.Value:
        return ir.Value(
            name=f"{name}/tile/{label}.in", type=ir.TensorType(dtype), shape=ir.Shape(shape)
        )

    def op(
        op_type: str, *inputs: ir.Value, label: str, attributes: Mapping[str, int] | None = None
    ) -> ir.Value:
        node = ir.node(op_type, list(inputs), attributes=attributes, name=f"{name}/tile/{label}")
        node.outputs[0].name = f"{name}/tile/{label}.out"
        nodes.append(node)
        return node.outputs[0]

    floats = ir.DataType.FLOAT
    x = given("x", ir.DataType.UINT8 if loaded is not None else floats, (tile, None))
    held = {
        label: given(label, floats, (tile,) if label == "steps" else (tile, 1))
        for label in parameters
    }
    value = x
    one = np.array(1, np.float32)
    if loaded is not None:
        zero = const(np.array(loaded.zero_point, np.uint8), "load.zero")
        value = op("DequantizeLinear", x, const(one, "load.scale"), zero, label="load")
    shift = const(np.array(P, np.float32), "shift")
    value = polynomial(op, value, held["frequency"], held["gain"], shift)
    if stored is not None:
        per_channel = "steps" in held
        zeros = np.full((tile,) if per_channel else (), stored.zero_point, np.uint8)
        value = op(
            "QuantizeLinear",
            value,
            held["steps"] if per_channel else const(one, "store.scale"),
            const(zeros, "store.zero"),
            label="store",
            attributes={"axis": 0} if per_channel else None,
        )
    value.type = ir.TensorType(ir.DataType.UINT8 if stored is not None else floats)
    value.shape = ir.Shape((tile, None))
    return ir.Graph(
        [x, *held.values()], [value], nodes=nodes, initializers=constants, name=f"{name}/tile"
    )
