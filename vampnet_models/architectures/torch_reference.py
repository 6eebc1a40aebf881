"""The networks once more, eager in PyTorch, straight from a checkpoint's stored tensors.

It shares nothing with the graph builders: weight norm and LoRA are applied as the layers run,
attention and padding are PyTorch's own. An import compares its models with it where torch is
installed; torch is imported by whoever calls, never by importing this module.
"""

from __future__ import annotations

import math
from typing import Any

from vampnet_models.architectures.codec import CodecConfig
from vampnet_models.architectures.transformer import TransformerConfig
from vampnet_models.architectures.wavebeat import WavebeatConfig
from vampnet_models.checkpoints.tensors import Tensors

_Tensor = Any
"""A torch.Tensor; torch is optional, so its types are not at hand."""


class Stored:
    """A checkpoint's tensors as torch tensors of one precision, read when they are asked for."""

    def __init__(
        self,
        torch: Any,
        tensors: Tensors,
        dtype: str = "float32",
        left: frozenset[str] = frozenset(),
    ) -> None:
        self.torch = torch
        self.dtype = getattr(torch, dtype)
        self.functional = torch.nn.functional
        self.tensors = tensors
        self.names = frozenset(tensors.names()) - left

    def __getitem__(self, name: str) -> _Tensor:
        return self.torch.from_numpy(self.tensors.read(name)).to(self.dtype)

    def weight(self, prefix: str) -> _Tensor:
        """A convolution's weight, weight norm applied by torch."""
        if f"{prefix}.weight" in self.names:
            return self[f"{prefix}.weight"]
        parametrized = f"{prefix}.parametrizations.weight.original"
        if f"{parametrized}1" in self.names:
            return self.torch._weight_norm(self[f"{parametrized}1"], self[f"{parametrized}0"], 0)
        return self.torch._weight_norm(self[f"{prefix}.weight_v"], self[f"{prefix}.weight_g"], 0)

    def conv(self, prefix: str, x: _Tensor, **options: int) -> _Tensor:
        """Conv1d with its bias."""
        return self.functional.conv1d(x, self.weight(prefix), self[f"{prefix}.bias"], **options)

    def snake(self, prefix: str, x: _Tensor) -> _Tensor:
        """`x + sin(alpha x)^2 / (alpha + 1e-9)`."""
        alpha = self[f"{prefix}.alpha"]
        return x + self.torch.sin(alpha * x).pow(2) / (alpha + 1e-9)

    def linear(self, prefix: str, x: _Tensor) -> _Tensor:
        """Linear without bias, LoRA beside it."""
        y = self.functional.linear(x, self[f"{prefix}.weight"])
        if f"{prefix}.lora_B" in self.names:
            down, up = self[f"{prefix}.lora_A"], self[f"{prefix}.lora_B"]
            low = self.functional.linear(self.functional.linear(x, down), up)
            y = y + low / down.shape[0]
        return y

    def rms_norm(self, prefix: str, x: _Tensor) -> _Tensor:
        """Root-mean-square norm, eps 1e-6."""
        variance = x.pow(2).mean(-1, keepdim=True)
        return x * self.torch.rsqrt(variance + 1e-6) * self[f"{prefix}.weight"]

    def batch_norm(self, prefix: str, x: _Tensor) -> _Tensor:
        """BatchNorm1d in eval mode."""
        mean, variance, weight, bias = (
            self[f"{prefix}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return self.functional.batch_norm(x, mean, variance, weight, bias)


def encode(config: CodecConfig, stored: Stored, audio: _Tensor) -> _Tensor:
    """Audio `[batch, 1, samples]` -> codes `[batch, n_codebooks, frames]`."""
    x = stored.functional.pad(audio.to(stored.dtype), (0, -audio.shape[-1] % config.hop))
    x = stored.conv("encoder.block.0", x, padding=3)
    for index, stride in enumerate(config.encoder_rates, start=1):
        prefix = f"encoder.block.{index}.block"
        for unit, dilation in enumerate((1, 3, 9)):
            x = _residual_unit(stored, f"{prefix}.{unit}", x, dilation)
        x = stored.snake(f"{prefix}.3", x)
        x = stored.conv(f"{prefix}.4", x, stride=stride, padding=_padding(config, stride))
    last = len(config.encoder_rates) + 1
    residual = stored.snake(f"encoder.block.{last}", x)
    residual = stored.conv(f"encoder.block.{last + 1}", residual, padding=1)
    codes = []
    for index in range(config.n_codebooks):
        prefix = f"quantizer.quantizers.{index}"
        points = stored.conv(f"{prefix}.in_proj", residual).transpose(1, 2)
        points = stored.functional.normalize(points, dim=-1)
        rows = stored.functional.normalize(stored[f"{prefix}.codebook.weight"], dim=-1)
        codes.append((points @ rows.T).argmax(-1))
        residual = residual - _quantized(stored, prefix, codes[-1])
    return stored.torch.stack(codes, 1)


def decode(config: CodecConfig, stored: Stored, codes: _Tensor) -> _Tensor:
    """Codes `[batch, n_codebooks, frames]` -> audio `[batch, 1, samples]`."""
    x = sum(
        _quantized(stored, f"quantizer.quantizers.{n}", codes[:, n])
        for n in range(config.n_codebooks)
    )
    x = stored.conv("decoder.model.0", x, padding=3)
    for index, stride in enumerate(config.decoder_rates, start=1):
        prefix = f"decoder.model.{index}.block"
        x = stored.functional.conv_transpose1d(
            stored.snake(f"{prefix}.0", x),
            stored.weight(f"{prefix}.1"),
            stored[f"{prefix}.1.bias"],
            stride=stride,
            padding=_padding(config, stride),
        )
        if config.kind == "dac":
            for unit, dilation in ((2, 1), (3, 3), (4, 9)):
                x = _residual_unit(stored, f"{prefix}.{unit}", x, dilation)
        else:
            branches = [
                _mrf_branch(stored, f"{prefix}.2.mrf_blocks.{branch}", x, kernel)
                for branch, kernel in enumerate((3, 7, 11))
            ]
            x = stored.torch.stack(branches).mean(0)
    last = len(config.decoder_rates) + 1
    x = stored.snake(f"decoder.model.{last}", x)
    return stored.torch.tanh(stored.conv(f"decoder.model.{last + 1}", x, padding=3))


def transform(
    config: TransformerConfig, stored: Stored, codec: Stored, codes: _Tensor, mask: _Tensor
) -> _Tensor:
    """Codes and mask `[batch, n, frames]` -> logits `[batch, predicted, frames, vocab]`."""
    torch = stored.torch
    special = stored["embedding.special.MASK"]
    latents = []
    for n in range(config.n_codebooks):
        book = codec[f"quantizer.quantizers.{n}.codebook.weight"]
        found = stored.functional.embedding(codes[:, n], book)
        latents.append(torch.where(mask[:, n, :, None] == 1, special[n], found))
    x = torch.cat(latents, -1).transpose(1, 2)
    x = stored.conv("embedding.out_proj", x).transpose(1, 2)
    bias = _position_bias(stored, codes.shape[-1])
    for layer in range(config.n_layers):
        prefix = f"transformer.layers.{layer}"
        heads = [
            stored.linear(f"{prefix}.self_attn.{name}", stored.rms_norm(f"{prefix}.norm_1", x))
            .unflatten(-1, (config.n_heads, -1))
            .transpose(1, 2)
            for name in ("w_qs", "w_ks", "w_vs")
        ]
        mixed = stored.functional.scaled_dot_product_attention(*heads, attn_mask=bias)
        x = x + stored.linear(f"{prefix}.self_attn.fc", mixed.transpose(1, 2).flatten(2))
        inner = stored.linear(f"{prefix}.feed_forward.w_1", stored.rms_norm(f"{prefix}.norm_3", x))
        first, second = inner.chunk(2, -1)
        gated = first * stored.functional.gelu(second, approximate="tanh")
        x = x + stored.linear(f"{prefix}.feed_forward.w_2", gated)
    x = stored.rms_norm("transformer.norm", x).transpose(1, 2)
    channels = stored.conv("classifier.layers.0", x)
    return channels.unflatten(1, (config.vocab_size, config.n_predicted)).permute(0, 2, 3, 1)


def track_beats(config: WavebeatConfig, stored: Stored, audio: _Tensor) -> _Tensor:
    """Audio `[batch, 1, samples]` -> beat and downbeat logits `[batch, 2, frames]`."""
    x = audio.to(stored.dtype)
    for block in range(config.nblocks):
        prefix, dilation = f"blocks.{block}", config.dilation(block)
        padding = (config.kernel_size - 1) * dilation // 2
        y = stored.conv(
            f"{prefix}.conv1", x, stride=config.stride, dilation=dilation, padding=padding
        )
        y = stored.batch_norm(f"{prefix}.norm1", y)
        y = stored.functional.prelu(y, stored[f"{prefix}.act1.weight"])
        residual = stored.conv(f"{prefix}.res_conv", x, stride=config.stride)
        x = y + stored.batch_norm(f"{prefix}.res_norm", residual)
    return stored.conv("output", x)


def _padding(config: CodecConfig, stride: int) -> int:
    return stride // 2 if config.kind == "lac" else math.ceil(stride / 2)


def _residual_unit(stored: Stored, prefix: str, x: _Tensor, dilation: int) -> _Tensor:
    y = stored.snake(f"{prefix}.block.0", x)
    y = stored.conv(f"{prefix}.block.1", y, dilation=dilation, padding=3 * dilation)
    return x + stored.conv(f"{prefix}.block.3", stored.snake(f"{prefix}.block.2", y))


def _mrf_branch(stored: Stored, prefix: str, x: _Tensor, kernel: int) -> _Tensor:
    for layer, dilation in enumerate((1, 3, 5)):
        inner = f"{prefix}.block.{layer}.layer"
        padding = (kernel - 1) * dilation // 2
        y = stored.snake(f"{inner}.0", x)
        y = stored.conv(f"{inner}.1", y, dilation=dilation, padding=padding)
        y = stored.snake(f"{inner}.2", y)
        x = x + stored.conv(f"{inner}.3", y, padding=kernel // 2)
    return x


def _quantized(stored: Stored, prefix: str, codes: _Tensor) -> _Tensor:
    rows = stored.functional.embedding(codes, stored[f"{prefix}.codebook.weight"])
    return stored.conv(f"{prefix}.out_proj", rows.transpose(1, 2))


def _position_bias(stored: Stored, frames: int) -> _Tensor:
    """T5's bias `[heads, query, key]`: 32 buckets, bidirectional, up to a distance of 128."""
    torch = stored.torch
    table = stored["transformer.layers.0.self_attn.relative_attention_bias.weight"]
    places = torch.arange(frames)
    offsets = places[None, :] - places[:, None]
    distance = offsets.abs()
    far = 8 + (torch.log(distance.clamp(min=1) / 8) / math.log(128 / 8) * 8).long()
    bucket = torch.where(distance < 8, distance, far.clamp(max=15)) + 16 * (offsets > 0)
    return table[bucket].permute(2, 0, 1)
