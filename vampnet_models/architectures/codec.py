"""The codec (LAC, and its sibling DAC): checkpoint tensors to encoder and decoder graphs.

Layer names are the checkpoint's. Sources: Kumar et al. 2023, "High-Fidelity Audio Compression
with Improved RVQGAN" (DAC), and Kong et al. 2020, "HiFi-GAN", for the multi-receptive-field block.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from vampnet_models.architectures.graph_writer import GraphBuilder
from vampnet_models.architectures.layers import (
    conv,
    conv_transpose,
    hop_samples,
    plain,
    residual_unit,
    right_pad,
    snake,
)
from vampnet_models.checkpoints.tensors import Ledger
from vampnet_models.spec import CONFIG_KEY, ROLE_KEY, WEIGHTS_KEY, Role

_ENCODER_DILATIONS = (1, 3, 9)
MRF_KERNELS = (3, 7, 11)
_MRF_DILATIONS = (1, 3, 5)
_NORMALISE_EPSILON = 1e-12


@dataclass(frozen=True)
class CodecConfig:
    """The codec's constructor arguments, under the names that its checkpoints use."""

    encoder_dim: int
    encoder_rates: tuple[int, ...]
    decoder_dim: int
    decoder_rates: tuple[int, ...]
    n_codebooks: int
    codebook_size: int
    codebook_dim: int
    sample_rate: int
    latent_dim: int | None = None
    kind: Literal["lac", "dac"] = "lac"

    @property
    def latent(self) -> int:
        """Channels of the latent; DAC may set them apart from the encoder's width."""
        return self.latent_dim or self.encoder_dim * 2 ** len(self.encoder_rates)

    @property
    def hop(self) -> int:
        """Samples per frame (LAC counts the decoder's strides, DAC the encoder's)."""
        return hop_samples(self.decoder_rates if self.kind == "lac" else self.encoder_rates)

    def padding(self, stride: int) -> int:
        """Padding of a strided convolution."""
        return stride // 2 if self.kind == "lac" else (stride + 1) // 2


def build_encoder(config: CodecConfig, tensors: Ledger, weights: str = "unknown") -> ir.Model:
    """`audio float32 [batch, 1, samples]` -> `codes int64 [batch, n_codebooks, frames]`.

    Any number of samples: the right padding to a whole frame is inside the graph. Raises
    InputError that names a missing or wrongly shaped tensor. `weights` goes into the metadata.
    """
    b = GraphBuilder("codec_encoder")
    audio = b.input("audio", ir.DataType.FLOAT, ["batch", 1, "samples"])
    x = right_pad(b, audio, config.hop)
    width = config.encoder_dim
    x = conv(b, x, tensors, "encoder.block.0", (width, 1, 7), padding=3)
    for index, stride in enumerate(config.encoder_rates, start=1):
        prefix = f"encoder.block.{index}.block"
        for unit, dilation in enumerate(_ENCODER_DILATIONS):
            x = residual_unit(b, x, tensors, f"{prefix}.{unit}", width, dilation)
        x = snake(b, x, tensors, f"{prefix}.3", width)
        x = conv(
            b,
            x,
            tensors,
            f"{prefix}.4",
            (2 * width, width, 2 * stride),
            stride=stride,
            padding=config.padding(stride),
        )
        width *= 2
    last = len(config.encoder_rates) + 1
    x = snake(b, x, tensors, f"encoder.block.{last}", width)
    latent = conv(b, x, tensors, f"encoder.block.{last + 1}", (config.latent, width, 3), padding=1)
    codes = _quantize(b, latent, config, tensors)
    b.output(codes, "codes", ir.DataType.INT64, ["batch", config.n_codebooks, "frames"])
    return b.finish(_metadata(Role.CODEC_ENCODER, config, weights))


def build_decoder(config: CodecConfig, tensors: Ledger, weights: str = "unknown") -> ir.Model:
    """`codes int64 [batch, n_codebooks, frames]` -> `audio float32 [batch, 1, samples]`.

    Raises InputError that names a missing or wrongly shaped tensor.
    """
    b = GraphBuilder("codec_decoder")
    codes = b.input("codes", ir.DataType.INT64, ["batch", config.n_codebooks, "frames"])
    x = _dequantize(b, codes, config, tensors)
    width = config.decoder_dim
    x = conv(b, x, tensors, "decoder.model.0", (width, config.latent, 7), padding=3)
    for index, stride in enumerate(config.decoder_rates, start=1):
        prefix = f"decoder.model.{index}.block"
        x = snake(b, x, tensors, f"{prefix}.0", width)
        x = conv_transpose(
            b,
            x,
            tensors,
            f"{prefix}.1",
            (width, width // 2, 2 * stride),
            stride=stride,
            padding=config.padding(stride),
        )
        width //= 2
        if config.kind == "lac":
            x = _multi_receptive_field(b, x, tensors, f"{prefix}.2.mrf_blocks", width)
        else:
            for unit, dilation in enumerate(_ENCODER_DILATIONS, start=2):
                x = residual_unit(b, x, tensors, f"{prefix}.{unit}", width, dilation)
    last = len(config.decoder_rates) + 1
    x = snake(b, x, tensors, f"decoder.model.{last}", width)
    x = conv(b, x, tensors, f"decoder.model.{last + 1}", (1, width, 7), padding=3)
    b.output(b.op("Tanh", x), "audio", ir.DataType.FLOAT, ["batch", 1, "samples"])
    return b.finish(_metadata(Role.CODEC_DECODER, config, weights))


def _quantize(b: GraphBuilder, latent: ir.Value, config: CodecConfig, tensors: Ledger) -> ir.Value:
    """Residual vector quantization: the nearest normalised row per codebook, ties the first."""
    residual, chosen = latent, []
    for index in range(config.n_codebooks):
        prefix = f"quantizer.quantizers.{index}"
        projected = conv(
            b, residual, tensors, f"{prefix}.in_proj", (config.codebook_dim, config.latent, 1)
        )
        with b.scope(prefix):
            rows = b.op("Transpose", projected, attributes={"perm": [0, 2, 1]})
            norm = b.op("ReduceL2", rows, b.ints(-1), attributes={"keepdims": 1})
            unit = b.op("Div", rows, b.op("Max", norm, b.scalar(_NORMALISE_EPSILON)))
            codes = _nearest(b, unit, config, tensors, prefix)
        chosen.append(b.op("Unsqueeze", codes, b.ints(1)))
        if index + 1 < config.n_codebooks:
            quantized = _lookup(b, codes, config, tensors, prefix)
            residual = b.op("Sub", residual, quantized, name=f"{prefix}/Sub")
    return b.op("Concat", *chosen, attributes={"axis": 1})


def _nearest(
    b: GraphBuilder, unit: ir.Value, config: CodecConfig, tensors: Ledger, prefix: str
) -> ir.Value:
    """Index of the nearest row: argmin of `|e|^2 - 2 e.c + |c|^2` over normalised vectors."""
    name = f"{prefix}.codebook.weight"
    size, dim = config.codebook_size, config.codebook_dim

    def normalised() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        rows = tensors.read(name)
        norm = np.sqrt(np.sum(np.square(rows), axis=1, keepdims=True))
        return np.ascontiguousarray((rows / np.maximum(norm, np.float32(_NORMALISE_EPSILON))).T)

    transposed = b.weight(f"{name}.normalised_transposed", (dim, size), normalised)
    squares = b.weight(
        f"{name}.normalised_squares", (size,), lambda: np.sum(np.square(normalised()), axis=0)
    )
    tensors.use(name, f"{name}.normalised_transposed")
    dots = b.op("Mul", b.op("MatMul", unit, transposed), b.scalar(2.0))
    own = b.op("ReduceSumSquare", unit, b.ints(-1), attributes={"keepdims": 1})
    distances = b.op("Add", b.op("Sub", own, dots), squares, name="distances")
    return b.op("ArgMin", distances, attributes={"axis": -1, "keepdims": 0, "select_last_index": 0})


def _lookup(
    b: GraphBuilder, codes: ir.Value, config: CodecConfig, tensors: Ledger, prefix: str
) -> ir.Value:
    """The codebook rows of `codes [batch, frames]`, projected back to the latent's channels."""
    shape = (config.codebook_size, config.codebook_dim)
    table = plain(b, tensors, f"{prefix}.codebook.weight", shape)
    with b.scope(prefix):
        rows = b.op("Gather", table, codes, attributes={"axis": 0})
        columns = b.op("Transpose", rows, attributes={"perm": [0, 2, 1]})
    return conv(b, columns, tensors, f"{prefix}.out_proj", (config.latent, config.codebook_dim, 1))


def _dequantize(b: GraphBuilder, codes: ir.Value, config: CodecConfig, tensors: Ledger) -> ir.Value:
    """The sum over the codebooks of their projected rows."""
    total: ir.Value | None = None
    for index in range(config.n_codebooks):
        prefix = f"quantizer.quantizers.{index}"
        with b.scope(prefix):
            one = b.op(
                "Gather",
                codes,
                b.constant(np.array(index, np.int64), f"index{index}"),
                attributes={"axis": 1},
            )
        projected = _lookup(b, one, config, tensors, prefix)
        total = projected if total is None else b.op("Add", total, projected)
    if total is None:
        raise ValueError("a codec has at least one codebook")
    return total


def _multi_receptive_field(
    b: GraphBuilder, x: ir.Value, tensors: Ledger, prefix: str, width: int
) -> ir.Value:
    """The mean of three branches of three residual layers each."""
    branches = []
    for branch, kernel in enumerate(MRF_KERNELS):
        y = x
        for layer, dilation in enumerate(_MRF_DILATIONS):
            y = _mrf_layer(
                b, y, tensors, f"{prefix}.{branch}.block.{layer}", width, kernel, dilation
            )
        branches.append(y)
    with b.scope(prefix):
        total = b.op("Add", b.op("Add", branches[0], branches[1]), branches[2])
        return b.op("Mul", total, b.scalar(1 / len(MRF_KERNELS)))


def _mrf_layer(
    b: GraphBuilder,
    x: ir.Value,
    tensors: Ledger,
    prefix: str,
    width: int,
    kernel: int,
    dilation: int,
) -> ir.Value:
    """Snake, dilated Conv, Snake, Conv, added to the input."""
    y = snake(b, x, tensors, f"{prefix}.layer.0", width)
    y = conv(
        b,
        y,
        tensors,
        f"{prefix}.layer.1",
        (width, width, kernel),
        dilation=dilation,
        padding=(kernel - 1) * dilation // 2,
    )
    y = snake(b, y, tensors, f"{prefix}.layer.2", width)
    y = conv(b, y, tensors, f"{prefix}.layer.3", (width, width, kernel), padding=(kernel - 1) // 2)
    return b.op("Add", x, y, name=f"{prefix}/Add")


def _metadata(role: Role, config: CodecConfig, weights: str) -> dict[str, str]:
    return {
        ROLE_KEY: role.value,
        CONFIG_KEY: json.dumps(asdict(config)),
        WEIGHTS_KEY: weights,
    }
