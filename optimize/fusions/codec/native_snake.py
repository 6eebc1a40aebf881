"""`y = x + (1 / alpha) sin(alpha x)^2` -> one operator of the optional library.

With the quantization on either side in it where there is one: `y = quantize(snake(dequantize(q)))`.
The portable Snake is four operators or more, each of which passes over tensors of megabytes.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.fusions.codec import snake
from optimize.fusions.rule import Rule
from optimize.surgery.graph import (
    Array,
    NoMatch,
    add_constant,
    constant,
    graph_of,
    insert,
    int_of,
    substitute,
    tensor_of,
)
from vampnet_models.onnxfile.operators import NATIVE_DOMAIN


def insert_native_snake(
    before: ir.Node,
    x: ir.Value,
    alpha: Array,
    inverse: Array,
    name: str,
    loaded: snake.Bytes | None = None,
    stored: snake.Bytes | None = None,
) -> ir.Value:
    """The Snake of `x [batch, channels, samples]`; alpha and inverse are `[1, channels, 1]`.

    `loaded` says that x is uint8, `stored` that the result shall be; float32 otherwise.
    """
    graph = graph_of(before)

    def const(values: Array, label: str) -> ir.Value:
        return add_constant(graph, f"{name}/{label}", values)

    def zero(side: snake.Bytes, label: str) -> ir.Value:
        return const(np.array(side.zero_point, np.uint8), label)

    inputs = [x]
    for label, values in (("alpha", alpha), ("inverse", inverse)):
        inputs.append(const(values.reshape(-1).astype(np.float32), label))
    if loaded is not None and stored is not None:
        op_type = "SnakeBytes"
        inputs += [zero(loaded, "zero_in"), zero(stored, "zero_out")]
    elif stored is not None:
        op_type = "SnakeQuantize"
        sizes = np.ones(alpha.size) if stored.sizes is None else stored.sizes
        inputs += [const(sizes.astype(np.float32), "steps"), zero(stored, "zero")]
    else:
        op_type = "Snake"
    dtype = ir.DataType.UINT8 if stored is not None else ir.DataType.FLOAT
    (made,) = insert(
        before,
        op_type,
        inputs,
        name=f"{name}/native",
        domain=NATIVE_DOMAIN,
        dtypes=[dtype],
        shapes=[x.shape],
    )
    return made


def add_dequantized(graph: ir.Graph) -> int:
    """`a + DequantizeLinear(q)` with steps per channel -> one operator; how many were rewritten."""
    count = 0
    for add in [node for node in graph if node.op_type == "Add"]:
        for index in (0, 1):
            value, other = add.inputs[index], add.inputs[1 - index]
            maker = value.producer() if value is not None else None
            if value is None or other is None or maker is None:
                continue
            if maker.op_type != "DequantizeLinear" or len(value.uses()) != 1:
                continue
            steps, zeros = constant(maker.inputs[1]), constant(maker.inputs[2])
            if steps is None or zeros is None or steps.ndim != 1 or int_of(maker, "axis", 1) != 1:
                continue
            if np.unique(zeros).size != 1 or other.shape is None or len(other.shape) != 3:
                continue
            if tensor_of(other) is not None:
                continue
            name = f"{add.name}/native"
            zero = add_constant(graph, f"{name}.zero", np.array(zeros.flat[0], np.uint8))
            inputs = [other, maker.inputs[0], maker.inputs[1], zero]
            (made,) = insert(add, "DequantizeAdd", inputs, name=name, domain=NATIVE_DOMAIN)
            substitute(add.outputs[0], made)
            count += 1
            break
    return count


def _match(sine: ir.Node) -> snake.Snake:
    found = snake.match(sine)
    channels = snake.channels_of(found.x)
    if channels is None:
        raise NoMatch("the channels of its input are not known")
    return snake.by_channel(found, 3, channels)


def _rewrite(_graph: ir.Graph, found: snake.Snake) -> None:
    before = found.output.producer()
    assert before is not None
    made = insert_native_snake(before, found.x, found.alpha, found.inverse, found.name)
    substitute(found.output, made)


RULE = Rule("native_snake", snake.candidates, _match, _rewrite)
