"""The Snake activation with its derivative written out, optionally compiled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_SNAKE_EPSILON = 1e-9


def _value(x: Tensor, alpha: Tensor) -> Tensor:
    sine = torch.sin(alpha * x)
    return x + sine * sine / (alpha + _SNAKE_EPSILON)


def _gradients(x: Tensor, alpha: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """d/dx = 1 + sin(2ax); d/da = x sin(2ax)/a - sin^2(ax)/a^2, summed over batch and length."""
    sine, cosine = torch.sin(alpha * x), torch.cos(alpha * x)
    inverse = 1.0 / (alpha + _SNAKE_EPSILON)
    double = 2.0 * sine * cosine
    d_alpha = grad * (x * double * inverse - sine * sine * inverse * inverse)
    return grad * (1.0 + double * alpha * inverse), d_alpha.sum((0, 2), keepdim=True)


_functions: dict[str, Callable[..., Any]] = {"value": _value, "gradients": _gradients}


def compile_snake() -> bool:
    """Fuse the activation's passes over memory (a third of the codec's step); needs g++."""
    if shutil.which("g++") is None:
        return False
    _functions["value"] = torch.compile(_value, dynamic=True)
    _functions["gradients"] = torch.compile(_gradients, dynamic=True)
    return True


class _SnakeFunction(torch.autograd.Function):
    """One saved tensor instead of the five that autograd would keep."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:
        ctx.save_for_backward(x, alpha)
        # Detached: the compiler would treat a Parameter's shape as fixed and compile per layer.
        y: Tensor = _functions["value"](x, alpha.detach())
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, alpha = ctx.saved_tensors
        d_x, d_alpha = _functions["gradients"](x, alpha.detach(), grad)
        return d_x, d_alpha


class Snake(nn.Module):
    """`x + sin(alpha x)^2 / (alpha + 1e-9)`, alpha per channel (Ziyin et al. 2020)."""

    def __init__(self, channels: int, alpha: float = 0.3) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1, channels, 1), alpha))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, length]` -> the same shape."""
        y: Tensor = _SnakeFunction.apply(x, self.alpha)  # type: ignore[no-untyped-call]
        return y
