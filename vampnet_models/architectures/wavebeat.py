"""The beat tracker (wavebeat): checkpoint tensors to an ONNX graph.

Layer names are the checkpoint's. Source: Steinmetz and Reiss 2021, "WaveBeat: End-to-end beat and
downbeat tracking in the time domain". Batch norms are folded into the convolutions before them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
import onnx_ir as ir

from vampnet_models.architectures.graph_writer import Array, GraphBuilder
from vampnet_models.architectures.layers import conv_attributes
from vampnet_models.checkpoints.tensors import Ledger, require_shape
from vampnet_models.spec import CONFIG_KEY, N_BEAT_OUTPUTS, ROLE_KEY, WEIGHTS_KEY, Role

SAMPLE_RATE_HZ = 22_050
_BATCH_NORM_EPSILON = 1e-5
_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class WavebeatConfig:
    """The constructor arguments, under the names that its checkpoints use."""

    nblocks: int
    kernel_size: int
    stride: int
    dilation_growth: int
    channel_growth: int
    channel_width: int
    stack_size: int

    def dilation(self, block: int) -> int:
        """Dilation of a block's convolution."""
        return int(self.dilation_growth ** (block % self.stack_size))

    def channels(self, block: int) -> int:
        """Channels that a block gives; the audio, before the first, has one."""
        return 1 if block < 0 else self.channel_width + block * self.channel_growth


def wavebeat_shapes(config: WavebeatConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor of a wavebeat checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {}
    for block in range(config.nblocks):
        before, after = config.channels(block - 1), config.channels(block)
        prefix = f"blocks.{block}"
        for conv, norm, kernel in (
            ("conv1", "norm1", config.kernel_size),
            ("res_conv", "res_norm", 1),
        ):
            shapes[f"{prefix}.{conv}.weight"] = (after, before, kernel)
            shapes[f"{prefix}.{conv}.bias"] = (after,)
            shapes |= {f"{prefix}.{norm}.{part}": (after,) for part in _NORM_PARTS}
            shapes[f"{prefix}.{norm}.num_batches_tracked"] = ()
        shapes[f"{prefix}.act1.weight"] = (after,)
    last = config.channels(config.nblocks - 1)
    shapes["output.weight"] = (N_BEAT_OUTPUTS, last, 1)
    shapes["output.bias"] = (N_BEAT_OUTPUTS,)
    return shapes


def build_wavebeat(config: WavebeatConfig, tensors: Ledger, weights: str = "unknown") -> ir.Model:
    """`audio float32 [batch, 1, samples]` at 22.05 kHz -> `logits float32 [batch, 2, frames]`.

    Frames are samples over `stride ** nblocks`, rounded up block by block. Raises InputError that
    names a missing or wrongly shaped tensor.
    """
    b = GraphBuilder("wavebeat")
    x = b.input("audio", ir.DataType.FLOAT, ["batch", 1, "samples"])
    for block in range(config.nblocks):
        prefix = f"blocks.{block}"
        before, after = config.channels(block - 1), config.channels(block)
        dilation = config.dilation(block)
        y = _normalised_conv(
            b,
            x,
            tensors,
            (f"{prefix}.conv1", f"{prefix}.norm1"),
            (after, before, config.kernel_size),
            config.stride,
            dilation,
        )
        slope = _slope(b, tensors, f"{prefix}.act1.weight", after)
        y = b.op("PRelu", y, slope, name=f"{prefix}.act1/PRelu")
        residual = _normalised_conv(
            b,
            x,
            tensors,
            (f"{prefix}.res_conv", f"{prefix}.res_norm"),
            (after, before, 1),
            config.stride,
            1,
        )
        x = b.op("Add", y, residual, name=f"{prefix}/Add")
    last = config.channels(config.nblocks - 1)
    for name, shape in (
        ("output.weight", (N_BEAT_OUTPUTS, last, 1)),
        ("output.bias", (N_BEAT_OUTPUTS,)),
    ):
        require_shape(tensors, name, shape)
        tensors.use(name, name)
    weight = b.weight(
        "output.weight", (N_BEAT_OUTPUTS, last, 1), lambda: tensors.read("output.weight")
    )
    bias = b.weight("output.bias", (N_BEAT_OUTPUTS,), lambda: tensors.read("output.bias"))
    logits = b.op("Conv", x, weight, bias, name="output/Conv", attributes={"kernel_shape": [1]})
    b.output(logits, "logits", ir.DataType.FLOAT, ["batch", N_BEAT_OUTPUTS, "frames"])
    return b.finish(
        {
            ROLE_KEY: Role.BEATS.value,
            CONFIG_KEY: json.dumps(asdict(config)),
            WEIGHTS_KEY: weights,
        }
    )


def _normalised_conv(
    b: GraphBuilder,
    x: ir.Value,
    tensors: Ledger,
    names: tuple[str, str],
    shape: tuple[int, int, int],
    stride: int,
    dilation: int,
) -> ir.Value:
    """Conv1d with the batch norm behind it folded into its weight and bias."""
    conv, norm = names
    require_shape(tensors, f"{conv}.weight", shape)
    require_shape(tensors, f"{conv}.bias", shape[:1])
    for part in _NORM_PARTS:
        require_shape(tensors, f"{norm}.{part}", shape[:1])
    for target, sources in (
        (f"{conv}.weight", (f"{conv}.weight", f"{norm}.weight", f"{norm}.running_var")),
        (f"{conv}.bias", (f"{conv}.bias", *(f"{norm}.{part}" for part in _NORM_PARTS))),
    ):
        for source in sources:
            tensors.fold(source, target)
    tensors.leave(f"{norm}.num_batches_tracked", "counts training steps; inference does not use it")

    def gain() -> Array:
        variance = tensors.read(f"{norm}.running_var").astype(np.float64)
        return tensors.read(f"{norm}.weight") / np.sqrt(variance + _BATCH_NORM_EPSILON)

    def read_weight() -> Array:
        return tensors.read(f"{conv}.weight") * gain()[:, None, None]

    def read_bias() -> Array:
        centred = tensors.read(f"{conv}.bias") - tensors.read(f"{norm}.running_mean")
        return centred * gain() + tensors.read(f"{norm}.bias")

    weight = b.weight(f"{conv}.weight", shape, read_weight)
    bias = b.weight(f"{conv}.bias", shape[:1], read_bias)
    padding = (shape[2] - 1) * dilation // 2
    attributes = conv_attributes(shape[2], stride, dilation, padding)
    return b.op("Conv", x, weight, bias, name=f"{conv}/Conv", attributes=attributes)


def _slope(b: GraphBuilder, tensors: Ledger, name: str, channels: int) -> ir.Value:
    """PReLU's slope per channel, shaped to broadcast over the frames."""
    require_shape(tensors, name, (channels,))
    tensors.use(name, name)
    return b.weight(name, (channels, 1), lambda: tensors.read(name)[:, None])
