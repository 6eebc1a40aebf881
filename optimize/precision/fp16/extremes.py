"""The largest magnitude of a constant, and what float16 loses of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optimize.precision.shared.quantize import PANEL_ELEMENTS
from optimize.surgery.graph import SMALL_CONSTANT_ELEMENTS, Array, read, tensor_of

LARGEST = 65504.0
"""Float16's largest number."""

SMALLEST = 2.0**-25
"""This magnitude and smaller ones round to zero."""

SMALLEST_NORMAL = 2.0**-14
"""Below this float16 loses precision bit by bit."""

REAL = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
WHOLE = (ir.DataType.INT32, ir.DataType.INT64)


@dataclass(frozen=True)
class Extremes:
    """The largest finite magnitude, and the share of the values that float16 rounds to zero.

    Infinities and NaN are float16 numbers too.
    """

    top: float
    lost: float


def extremes_of(values: Array) -> Extremes:
    """Of real or whole numbers; computed panel by panel."""
    flat, top, lost = values.reshape(-1), 0.0, 0
    for first in range(0, flat.size, PANEL_ELEMENTS):
        panel = flat[first : first + PANEL_ELEMENTS]
        if panel.dtype.kind not in "fiu" or panel.dtype.itemsize < 4:
            panel = panel.astype(np.float32)
        magnitudes = np.abs(panel)
        largest = float(magnitudes.max())
        if not np.isfinite(largest):
            magnitudes = magnitudes[np.isfinite(magnitudes)]
            largest = float(magnitudes.max()) if magnitudes.size else 0.0
        top = max(top, largest)
        lost += int(np.count_nonzero(magnitudes) - np.count_nonzero(magnitudes > SMALLEST))
    return Extremes(top, lost / flat.size if flat.size else 0.0)


def halved(values: Array) -> Array:
    """Rounded to float16; what lies beyond it becomes its largest number, infinities stay."""
    finite = np.isfinite(values)
    if finite.all():
        return np.clip(values, -LARGEST, LARGEST).astype(np.float16)
    return np.where(finite, np.clip(values, -LARGEST, LARGEST), values).astype(np.float16)


def constants_extremes() -> Callable[[ir.Value], Extremes | None]:
    """A reader of constants' extremes that reads each once; None for what is no constant.

    Whole numbers are read only where there are few.
    """
    known: dict[ir.Value, Extremes] = {}

    def find(value: ir.Value) -> Extremes | None:
        tensor = tensor_of(value)
        if tensor is None or tensor.dtype not in (*REAL, *WHOLE):
            return None
        if tensor.dtype in WHOLE and tensor.size > SMALL_CONSTANT_ELEMENTS:
            return None
        if value not in known:
            known[value] = extremes_of(read(tensor))
        return known[value]

    return find
