"""The codec in eager PyTorch, under the original's parameter names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from training.config import HOP_SAMPLES
from training.networks.layers import DecoderBlock, EncoderBlock, NormedConv, NormedConvTranspose
from training.networks.quantizer import Quantized, ResidualVectorQuantizer
from training.networks.snake import Snake

_SNAKE_ALPHA_MIN = 0.05
_NormedLayer = NormedConv | NormedConvTranspose


class _Encoder(nn.Module):
    """`[b, 1, samples]` -> `[b, encoder_dim * 2^len(rates), samples / hop]`."""

    def __init__(self, dim: int, rates: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [NormedConv(1, dim, 7, padding=3)]
        for rate in rates:
            layers.append(EncoderBlock(dim, rate))
            dim *= 2
        layers += [Snake(dim), NormedConv(dim, dim, 3, padding=1)]
        self.block = nn.Sequential(*layers)

    def forward(self, audio: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.block(audio)
        return y


class _Decoder(nn.Module):
    """`[b, latent, frames]` -> `[b, 1, frames * hop]`."""

    def __init__(self, latent_dim: int, dim: int, rates: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [NormedConv(latent_dim, dim, 7, padding=3)]
        for rate in rates:
            layers.append(DecoderBlock(dim, rate))
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
