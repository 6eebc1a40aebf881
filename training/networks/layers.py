"""The codec's building blocks under the original's parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.snake import Snake


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


class NormedConvTranspose(nn.Module):
    """Weight-normalised ConvTranspose1d; axis 0 of its weight is the input channel."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, padding: int
    ) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.weight_g = nn.Parameter(torch.ones(channels_in, 1, 1))
        self.weight_v = nn.Parameter(torch.randn(channels_in, channels_out, kernel) * 0.1)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels_in, length]` -> `[batch, channels_out, length * stride]`."""
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        return functional.conv_transpose1d(x, weight, self.bias, self.stride, self.padding)


class _ResidualUnit(nn.Module):
    """The encoder's unit: Snake, dilated Conv k7, Snake, Conv k1, added to the input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels),
            NormedConv(channels, channels, 7, padding=3 * dilation, dilation=dilation),
            Snake(channels),
            NormedConv(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, length]` -> the same shape."""
        y: Tensor = x + self.block(x)
        return y


class EncoderBlock(nn.Module):
    """Three residual units, then a strided convolution that doubles the channels."""

    def __init__(self, channels_in: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *(_ResidualUnit(channels_in, dilation) for dilation in (1, 3, 9)),
            Snake(channels_in),
            NormedConv(channels_in, 2 * channels_in, 2 * stride, stride, padding=stride // 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, c, length]` -> `[batch, 2c, length / stride]`."""
        y: Tensor = self.block(x)
        return y


class _BranchLayer(nn.Module):
    """One residual layer of a multi-receptive-field branch."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        half = (kernel - 1) // 2
        self.layer = nn.Sequential(
            Snake(channels),
            NormedConv(channels, channels, kernel, padding=half * dilation, dilation=dilation),
            Snake(channels),
            NormedConv(channels, channels, kernel, padding=half),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, length]` -> the same shape."""
        y: Tensor = x + self.layer(x)
        return y


class _Branch(nn.Module):
    """Three residual layers of one kernel size, dilations 1, 3, 5."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*(_BranchLayer(channels, kernel, d) for d in (1, 3, 5)))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, length]` -> the same shape."""
        y: Tensor = self.block(x)
        return y


class _MultiReceptiveField(nn.Module):
    """The mean of three branches with kernels 3, 7 and 11 (Kong et al. 2020, HiFi-GAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mrf_blocks = nn.ModuleList(_Branch(channels, kernel) for kernel in (3, 7, 11))

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, length]` -> the same shape."""
        first, second, third = (branch(x) for branch in self.mrf_blocks)
        y: Tensor = (first + second + third) / 3.0
        return y


class DecoderBlock(nn.Module):
    """Snake, a transposed convolution that halves the channels, a multi-receptive-field block."""

    def __init__(self, channels_in: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels_in),
            NormedConvTranspose(
                channels_in, channels_in // 2, 2 * stride, stride, padding=stride // 2
            ),
            _MultiReceptiveField(channels_in // 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, c, length]` -> `[batch, c / 2, length * stride]`."""
        y: Tensor = self.block(x)
        return y
