"""GPTQ on a whole model's weights, each product rounded as soon as its moments are known.

Moments come layer by layer, in memory bounded by a few layers' worth; the packed integers wait on
disk until the model is written. Frantar et al. 2022, see `gptq`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from optimize.precision.contract import Conversion, Evidence, Needs, Plan, Precision, Traits
from optimize.precision.shared.gptq import SharedMoments, error_compensated, factor_of
from optimize.precision.shared.quantize import asymmetric_blocks, block_scales, pack_matmul
from optimize.precision.shared.shelf import Shelf, Shelved
from optimize.precision.weights.weight_only import Rounded, WeightOnly
from optimize.surgery.graph import Array, dims, graph_of, read, weight_of
from optimize.surgery.scopes import scope_of
from vampnet_models.errors import InputError


@dataclass(frozen=True)
class Packed:
    """A matrix by GPTQ: its blob on disk, and the peak of each column that it was made of."""

    scales: Array
    zeros: Array | None
    blob: Shelved
    shape: tuple[int, ...]
    peaks: Array

    def of(self, node: ir.Node) -> Rounded:
        """The same for a product whose columns were scaled since, which changes no integer."""
        peaks = _peaks(read(_tensor(node)))
        ratio = np.divide(peaks, self.peaks, out=np.ones_like(peaks), where=self.peaks > 0)
        return Rounded(self.scales * ratio, self.zeros, self.read)

    def read(self) -> Array:
        """MatMulNBits' blob."""
        return self.blob.read().view(np.uint8).reshape(self.shape)


@dataclass(frozen=True)
class CalibratedWeights(Precision[Plan]):
    """Weights as `weights` stores them, those of MatMuls by GPTQ; convolutions to nearest."""

    weights: WeightOnly

    @property
    def needs(self) -> Needs:
        """The second moments of what the products read."""
        return Needs.MOMENTS

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """That of the weights alone, with the moments. Raises InputError without blocks."""
        if self.weights.block is None:
            raise InputError("gptq: takes blocks; give --block 32, 64 or 128")
        found = self.weights.plan(graph, traits)
        return replace(found, moments=widths_of(readers_of(found.chosen)))

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """Quantize the weights of a model in place. Raises OSError when the disk is full."""
        readers = readers_of(self.weights.convertible(model.graph, plan).chosen)
        shelf = Shelf(evidence.scratch)
        rounded: dict[ir.Node, Rounded] = {}
        shared = SharedMoments(readers)
        widths = widths_of(readers)
        found = evidence.moments_of(widths) if evidence.moments_of and widths else ()
        for name, moments in found:
            for group, known in shared.complete(name, moments):
                done: dict[ir.Value | None, Rounded] = {}
                for node in group:
                    value = node.inputs[1]
                    if value not in done:
                        done[value] = packed(node, known, self.weights, shelf).of(node)
                    rounded[node] = done[value]
        return self.weights.apply(model, plan, evidence, rounded)


def readers_of(nodes: Collection[ir.Node]) -> dict[str, list[ir.Node]]:
    """The MatMuls with a constant matrix by the activation of the main graph that they read.

    Calibration observes no values of bodies: products of those are rounded to nearest.
    """
    readers: dict[str, list[ir.Node]] = defaultdict(list)
    for node in nodes:
        x, weight = node.inputs[0], weight_of(node) if node.op_type == "MatMul" else None
        if weight is None or len(weight.shape) != 2 or x is None or not x.name:
            continue
        if x.graph is scope_of(graph_of(node)).main:
            readers[x.name].append(node)
    return dict(readers)


def widths_of(readers: Mapping[str, Sequence[ir.Node]]) -> dict[str, int]:
    """The number of channels of each activation."""
    return {name: dims(_tensor(nodes[0]))[0] for name, nodes in readers.items()}


def packed(
    node: ir.Node, moments: NDArray[np.float64], settings: WeightOnly, shelf: Shelf
) -> Packed:
    """A product's weight by GPTQ, in the blocks and bits of `settings`, put on a shelf.

    Blocks have zero points unless the method is `symmetric`. `moments` is X^T X of its input,
    `[rows, rows]`. Raises OSError when the disk is full.
    """
    weight, block = read(_tensor(node)), settings.block
    assert block is not None
    symmetric = settings.method == "symmetric"
    if symmetric:
        scales = block_scales(weight, 0, block, settings.bits)
        zeros = np.full(scales.shape, 2 ** (settings.bits - 1), np.uint8)
    else:
        scales, zeros = asymmetric_blocks(weight, 0, block, settings.bits)
    chosen = error_compensated(weight, factor_of(moments), scales, zeros, block, settings.bits)
    # Values of the grid are packed as they are: rounding gives each its own integer back.
    blob = pack_matmul(chosen, scales, block, settings.bits, zeros)
    stored = shelf.put(blob.reshape(len(blob), -1).view(np.int8))
    return Packed(scales, None if symmetric else zeros, stored, blob.shape, _peaks(weight))


def _tensor(node: ir.Node) -> ir.TensorProtocol:
    tensor = weight_of(node)
    assert tensor is not None
    return tensor


def _peaks(weight: Array) -> Array:
    peaks: Array = np.abs(weight).max(axis=0)
    return peaks
