"""A weight's 8-bit integers and their scales, stored once for all nodes that read it.

Also for a table that is the weight of a product as well: turned there or as it is, both read the
same integers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.precision.shared.quantize import (
    per_channel_scales,
    quantize_by,
    quantize_per_channel,
    vector_scales,
)
from optimize.surgery.graph import (
    Array,
    add_constant,
    add_weight,
    dims,
    home_of,
    insert,
    read,
    tensor_of,
)
from optimize.surgery.scopes import derived
from optimize.surgery.stand_ins import stored_turned

INT8 = ir.DataType.INT8


@dataclass(frozen=True)
class Integers:
    """int8 values shaped as the weight, and float32 scales by which they are multiplied."""

    values: ir.Value
    scales: ir.Value


def of_channels(
    value: ir.Value,
    axis: int,
    chosen: Callable[[], Array] | None = None,
    least: Array | None = None,
) -> Integers:
    """The integers of a constant with one scale per index of `axis`; the scales are 1-D.

    The nearest ones, unless they are `chosen` the first time that they are asked for. No scale is
    below `least`, per channel: integers in finer steps are rounded to it.
    """
    tensor = tensor_of(value)
    assert tensor is not None
    form: tuple[Hashable, ...] = ("int8", axis)
    if least is not None and (per_channel_scales(read(tensor), axis) < least).any():
        form = (*form, least.tobytes())
    else:
        least = None

    def make() -> tuple[ir.Value, ir.Value]:
        fine = per_channel_scales(read(tensor), axis)
        scales = fine if least is None else np.maximum(fine, least).astype(np.float32)

        def integers() -> Array:
            found = quantize_per_channel(read(tensor), fine, axis) if chosen is None else chosen()
            return found if scales is fine else _coarser(found, fine / scales, axis)

        return _stored(value, integers, scales)

    return Integers(*derived(value, form, make))


def _coarser(integers: Array, shares: Array, axis: int) -> Array:
    """Integers in steps that are wider by `1 / shares` per index of `axis`."""
    shape = [-1 if each == axis else 1 for each in range(integers.ndim)]
    rounded: Array = np.rint(integers * shares.reshape(shape)).astype(np.int8)
    return rounded


def of_product(
    node: ir.Node, chosen: Callable[[], Array] | None = None, least: Array | None = None
) -> Integers:
    """The integers of a MatMul's constant `[..., rows, columns]`, a scale per column.

    The scales are `[columns]`, or `[..., 1, columns]` where the constant is a stack of matrices;
    those of a matrix are at least `least`.
    """
    value = node.inputs[1]
    tensor = tensor_of(value)
    assert value is not None and tensor is not None
    if len(dims(tensor)) > 2:
        return _of_stack(value, tensor)
    source = stored_turned(value)
    if source is None:
        return of_channels(value, 1, chosen, least)
    turned = None if chosen is None else lambda: np.ascontiguousarray(chosen().T)
    found = of_channels(source, 0, turned, least)
    (values,) = insert(
        node,
        "Transpose",
        [found.values],
        {"perm": [1, 0]},
        name=f"{node.name}/turned",
        dtypes=[INT8],
        shapes=[dims(tensor)],
    )
    return Integers(values, found.scales)


def _of_stack(value: ir.Value, tensor: ir.TensorProtocol) -> Integers:
    def make() -> tuple[ir.Value, ir.Value]:
        scales = vector_scales(read(tensor), -2)
        return _stored(value, lambda: quantize_by(read(tensor), scales), scales)

    return Integers(*derived(value, ("int8", "columns"), make))


def _stored(
    value: ir.Value, compute: Callable[[], Array], scales: Array
) -> tuple[ir.Value, ir.Value]:
    graph, tensor = home_of(value), tensor_of(value)
    assert tensor is not None
    integers = add_weight(graph, f"{value.name}.int8", INT8, dims(tensor), compute)
    return integers, add_constant(graph, f"{value.name}.scales", scales)
