"""Snake without a sine: `x + sin(alpha x)^2 / alpha` by operators that run on all threads.

ONNX Runtime's Sin takes as long as seven multiplications and runs on one thread. With
`r = alpha x / pi` less its floor and `w = r - r^2`, `sin(pi r) = K * w * (w + P)` to 0.001 (a
parabola, corrected by its square): a fraction of an 8-bit step, hence for integer models only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import onnx_ir as ir

from optimize.surgery.graph import Array, add_constant, graph_of, insert

_K = 3.60727
P = 0.85854
"""Least squares of the squared sine over a period: 0.0004 off (rms), 0.0007 at most, 0 at 0."""


_Value = TypeVar("_Value")


def frequency_of(alpha: Array) -> Array:
    """What the polynomial multiplies x by: half-periods of the sine; float32, shaped as alpha."""
    return np.asarray(alpha / math.pi, np.float32)


def gain_of(inverse: Array) -> Array:
    """What the polynomial's square is multiplied by; float32, shaped as inverse."""
    return np.asarray(inverse * (_K * _K), np.float32)


def polynomial(
    op: Callable[..., _Value], x: _Value, frequency: _Value, gain: _Value, shift: _Value
) -> _Value:
    """The Snake of x by `op(type, *inputs, label=)`; `shift` holds P."""
    periods = op("Mul", x, frequency, label="periods")
    phase = op("Sub", periods, op("Floor", periods, label="floor"), label="phase")
    parabola = op("Sub", phase, op("Mul", phase, phase, label="square"), label="parabola")
    shifted = op("Add", parabola, shift, label="shifted")
    sine = op("Mul", parabola, shifted, label="sine")
    power = op("Mul", sine, sine, label="power")
    scaled = op("Mul", power, gain, label="scaled")
    return op("Add", x, scaled, label="snake")


def insert_snake(before: ir.Node, x: ir.Value, alpha: Array, inverse: Array, name: str) -> ir.Value:
    """`x + inverse * sin(alpha * x)^2`, within 0.001 times `inverse`; float32, shaped as x."""
    graph = graph_of(before)

    def const(values: Array | float, label: str) -> ir.Value:
        return add_constant(graph, f"{name}/{label}", np.asarray(values, np.float32))

    def op(op_type: str, *inputs: ir.Value, label: str) -> ir.Value:
        label = f"{name}/{label}"
        return insert(before, op_type, inputs, name=label, shapes=[x.shape])[0]

    return polynomial(
        op,
        x,
        const(frequency_of(alpha), "frequency"),
        const(gain_of(inverse), "gain"),
        const(P, "shift"),
    )
