"""Convolutions of a codec that static INT8 leaves in float: little time, or much of the sound.

On a full-size decoder of seeded weights, 8 bits everywhere keep 27.2 dB. The noise that a stage or
branch adds, over its share of the arithmetic, decides what stays: the last stages have few
operations per value, and so has the branch of kernel 3. Without them 30 dB are left, for a tenth
of the speed. The weights of what stays are most of a decoder's bytes, and take 8 bits for a tenth
of the harm that 8-bit activations do (`stored`).
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from optimize.precision.contract import Traits
from optimize.precision.shared.plan import MIN_ELEMENTS, merged
from optimize.surgery.graph import dims, weight_of

_NARROW_CHANNELS = 24
"""With so few input channels QLinearConv takes longer than the float Conv, up to 10 times.

On the small encoder (8 to 192 channels) 8, 12, 24 and 48 gave 3.1, 1.4, 1.04 and 0.96 times the
FP32 time, interleaved on a busy machine."""

_DECODER_CHANNELS = 48
"""In a decoder: the stage of 48 channels adds a quarter of the noise, for 6 % of the arithmetic."""

_SHORT_KERNEL = 3
"""In a decoder: the branch of kernel 3 adds a third of the other stages' noise, for a seventh."""


def narrow_convs(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """Convolutions of so few channels that the float kernel is the faster one."""
    found = {}
    for node, channels, _ in _convs(graph) if traits.is_family else ():
        if channels <= _NARROW_CHANNELS:
            found[node] = f"{channels} input channels: the runtime's integer kernel is slower"
    return found


def noisy_convs(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """A decoder's convolutions that add more noise than they save time."""
    if not traits.is_decoder:
        return {}
    found = {}
    for node, channels, taps in _convs(graph):
        if channels <= _DECODER_CHANNELS:
            found[node] = f"{channels} input channels: more of the noise than of the arithmetic"
        elif taps <= _SHORT_KERNEL:
            found[node] = f"a kernel of {taps}: more of the noise than of the arithmetic"
    return found


def at_frame_rate(graph: ir.Graph, traits: Traits) -> dict[ir.Node, str]:
    """A decoder's convolutions before the first Snake: all later error passes through them."""
    if not traits.is_decoder:
        return {}
    found, behind = {}, set[ir.Value]()
    for node in graph:
        if node.op_type == "Sin" or any(value in behind for value in node.inputs):
            behind.update(node.outputs)
        elif node.op_type == "Conv":
            found[node] = "makes the latent, once per frame: little time, much of the error"
    return found


def stored(graph: ir.Graph, traits: Traits, kept: Collection[ir.Node]) -> dict[ir.Node, str]:
    """A decoder's convolutions that stay in float and whose weights take 8 bits, with the reason.

    Not those that are `kept` in float whole. One without a bias stays as it is: where its
    neighbours are quantized, the runtime would take it for an integer convolution.
    """
    if not traits.is_decoder:
        return {}
    exclusions = (narrow_convs, at_frame_rate, noisy_convs)
    found: dict[ir.Node, str] = {}
    for node, reason in merged(*(each(graph, traits) for each in exclusions)).items():
        weight = weight_of(node)
        has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
        long = weight is not None and weight.size >= MIN_ELEMENTS
        if long and has_bias and node not in kept:
            found[node] = f"{reason}; its weights alone take 8 bits"
    return found


def _convs(graph: ir.Graph) -> list[tuple[ir.Node, int, int]]:
    """Each Conv with its input channels and taps."""
    weights = [(node, weight_of(node)) for node in graph if node.op_type == "Conv"]
    return [
        (node, dims(weight)[1], dims(weight)[2])
        for node, weight in weights
        if weight is not None and len(weight.shape) == 3
    ]
