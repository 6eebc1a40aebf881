"""The convolution of codec and quantizer, under the original's parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class NormedConv(nn.Module):
    """Weight-normalised Conv1d: `weight = g * v / ||v||`, the norm over all axes but 0."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.weight_g = nn.Parameter(torch.ones(channels_out, 1, 1))
        self.weight_v = nn.Parameter(torch.randn(channels_out, channels_in, kernel) * 0.1)
        self.stride, self.padding, self.dilation = stride, padding, dilation

    def weight(self) -> Tensor:
        """The folded weight."""
        return torch._weight_norm(self.weight_v, self.weight_g, 0)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels_in, length]` -> `[batch, channels_out, length']`."""
        return functional.conv1d(
            x, self.weight(), self.bias, self.stride, self.padding, self.dilation
        )
