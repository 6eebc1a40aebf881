"""The codec in eager PyTorch, under the original's parameter names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import HOP_SAMPLES
from training.networks.layers import NormedConv
from training.networks.quantizer import Quantized, ResidualVectorQuantizer
from training.networks.snake import Snake

_SNAKE_ALPHA_MIN = 0.05


class _NormedConvTranspose(nn.Module):
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


_NormedLayer = NormedConv | _NormedConvTranspose


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


class _EncoderBlock(nn.Module):
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


class _Encoder(nn.Module):
    """`[b, 1, samples]` -> `[b, encoder_dim * 2^len(rates), samples / hop]`."""

    def __init__(self, dim: int, rates: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [NormedConv(1, dim, 7, padding=3)]
        for rate in rates:
            layers.append(_EncoderBlock(dim, rate))
            dim *= 2
        layers += [Snake(dim), NormedConv(dim, dim, 3, padding=1)]
        self.block = nn.Sequential(*layers)

    def forward(self, audio: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.block(audio)
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


class _DecoderBlock(nn.Module):
    """Snake, a transposed convolution that halves the channels, a multi-receptive-field block."""

    def __init__(self, channels_in: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels_in),
            _NormedConvTranspose(
                channels_in, channels_in // 2, 2 * stride, stride, padding=stride // 2
            ),
            _MultiReceptiveField(channels_in // 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, c, length]` -> `[batch, c / 2, length * stride]`."""
        y: Tensor = self.block(x)
        return y


class _Decoder(nn.Module):
    """`[b, latent, frames]` -> `[b, 1, frames * hop]`."""

    def __init__(self, latent_dim: int, dim: int, rates: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [NormedConv(latent_dim, dim, 7, padding=3)]
        for rate in rates:
            layers.append(_DecoderBlock(dim, rate))
            dim //= 2
        layers += [Snake(dim), NormedConv(dim, 1, 7, padding=3), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.model(z)
        return y


class Codec(nn.Module):
    """Encoder, residual vector quantizer, decoder."""

    def __init__(
        self,
        encoder_dim: int,
        encoder_rates: Sequence[int],
        decoder_dim: int,
        decoder_rates: Sequence[int],
        n_codebooks: int,
        codebook_size: int,
        codebook_dim: int,
        quantizer_dropout: bool,
        sample_rate: int,
    ) -> None:
        super().__init__()
        latent_dim = encoder_dim * 2 ** len(encoder_rates)
        self.encoder = _Encoder(encoder_dim, encoder_rates)
        self.quantizer = ResidualVectorQuantizer(
            latent_dim, n_codebooks, codebook_size, codebook_dim
        )
        self.decoder = _Decoder(latent_dim, decoder_dim, decoder_rates)

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """`[b, 1, samples]` -> int64 `[b, n, ceil(samples / hop)]`; pads zeros on the right."""
        padded = nn.functional.pad(audio, (0, -audio.shape[-1] % HOP_SAMPLES))
        found: Quantized = self.quantizer(self.encoder(padded))
        return found.codes

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """int64 `[b, n, t]` -> `[b, 1, t * hop]`, from the first n codebooks."""
        y: Tensor = self.decoder(self.quantizer.from_codes(codes))
        return y

    def codebooks(self) -> Tensor:
        """The code tables `[n, codebook_size, codebook_dim]` that the transformers embed with."""
        return torch.stack([q.codebook.weight.detach() for q in self.quantizer.quantizers])

    @torch.no_grad()
    def clamp_alpha(self) -> None:
        """Keep every Snake alpha at 0.05 or more: a vanishing one divides by zero in FP16."""
        for module in self.modules():
            if isinstance(module, Snake):
                module.alpha.clamp_(min=_SNAKE_ALPHA_MIN)


@torch.no_grad()
def unit_variance_init(codec: Codec, audio: Tensor) -> None:
    """Scale every convolution so that activations keep unit variance (LSUV, Mishkin 2016).

    One forward pass of `audio` `[b, 1, samples]`: each layer is rescaled as the data reach it.
    The last convolution of a residual branch is set to half of that, the output one to a tenth.
    """
    # By place: of the four modules of a unit the last one is added to the unit's input.
    branch_ends = {
        f"{name}.3"
        for name, module in codec.named_modules()
        if name.endswith((".block", ".layer"))
        if isinstance(module, nn.Sequential) and len(module) == 4
    }
    last = f"decoder.model.{len(codec.decoder.model) - 2}"

    def rescale(target: float) -> Callable[[_NormedLayer, object, Tensor], Tensor]:
        def hook(module: _NormedLayer, _inputs: object, output: Tensor) -> Tensor:
            factor = target / output.std().clamp(min=1e-6)
            module.weight_g.mul_(factor)
            return output * factor

        return hook

    handles = []
    for name, module in codec.named_modules():
        if isinstance(module, _NormedLayer) and not name.startswith("quantizer"):
            target = 0.5 if name in branch_ends else 0.1 if name == last else 1.0
            handles.append(module.register_forward_hook(rescale(target)))
    codec.decoder(codec.encoder(audio))
    for handle in handles:
        handle.remove()
