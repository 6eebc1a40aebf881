"""Products in few bits: how large each one's error will be, and its weight by GPTQ.

How large the error of a product is, in any bits and blocks, follows from the second moments of what
it reads before anything is rounded (`expected_error`). So each weight is rounded once, when it is
known what it gets.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from optimize.precision.contract import Evidence
from optimize.precision.shared.gptq import (
    Factor,
    SharedMoments,
    error_compensated,
    expected_error,
    factor_of,
)
from optimize.precision.shared.quantize import asymmetric_blocks, block_scales, pack_matmul
from optimize.precision.shared.shelf import Shelf, Shelved
from optimize.precision.weights import six_bits
from optimize.precision.weights.allocation import Form
from optimize.precision.weights.calibrated_weights import widths_of
from optimize.precision.weights.weight_only import Rounded, WeightOnly, quantize_product
from optimize.surgery.graph import Array, dims, read, weight_of

FORMS = (
    *(Form(4, block) for block in (16, 32, 64, 128)),
    *(Form(6, block) for block in (32, 64, 128)),
    *(Form(8, block) for block in (32, 64, 128)),
)
"""What a product is offered. Smaller blocks cost less than more bits, and help less."""

_SIX_BYTES = 2_800
"""Of the nodes that join 6 bits."""

_SMALLEST_HALF, _LARGEST_HALF = 2.0**-17, 65504
"""Between these a scale is within a two-hundredth of itself in float16, and values are rounded by
what it is there."""


@dataclass(frozen=True)
class Product:
    """The readers of one matrix, and what their inputs say of rounding it.

    Attributes:
        nodes: the readers.
        order: that of `factor`.
        upper: that of `factor`, on a shelf.
        errors: what each form loses, a share of the power of what the product gives.
    """

    nodes: tuple[ir.Node, ...]
    order: NDArray[np.int64]
    upper: Shelved
    errors: Mapping[Form, float]

    @property
    def factor(self) -> Factor:
        """Read back."""
        return Factor(self.order, self.upper.read().view(np.float32))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix, `[rows, columns]`."""
        return dims(_matrix(self.nodes[0]))


def products_of(
    readers: Mapping[str, Sequence[ir.Node]], evidence: Evidence, shelf: Shelf
) -> list[Product]:
    """Every product with its errors, as the moments come layer by layer.

    `readers` are the products by the activation that they read. Raises OSError when the disk is
    full.
    """
    found: list[Product] = []
    shared, widths = SharedMoments(readers), widths_of(readers)
    for name, moments in evidence.moments_of(widths) if evidence.moments_of and widths else ():
        for group, known in shared.complete(name, moments):
            factor = factor_of(known)
            upper = shelf.put(np.ascontiguousarray(factor.upper).view(np.int8))
            by_weight: dict[ir.Value | None, list[ir.Node]] = defaultdict(list)
            for node in group:
                by_weight[node.inputs[1]].append(node)
            for nodes in by_weight.values():
                errors = _errors(read(_matrix(nodes[0])), known, factor)
                found.append(Product(tuple(nodes), factor.order, upper, errors))
    return found


def _errors(weight: Array, moments: NDArray[np.float64], factor: Factor) -> dict[Form, float]:
    """What each form is to lose of the power of the product, before anything is rounded."""
    power = float(np.einsum("ij,ij->", weight, moments @ weight))
    steps = {form: _steps(_grid(weight, form)[0], form) for form in FORMS}
    lost = {form: expected_error(factor, each, form.block) for form, each in steps.items()}
    return {form: each / power if power > 0 else 0.0 for form, each in lost.items()}


def stored_bytes(shape: Sequence[int], form: Form) -> int:
    """Of a matrix `[rows, columns]`: values in whole blocks, scales, and zero points of 4 bits."""
    n_rows, n_columns = shape
    n_blocks = math.ceil(n_rows / form.block)
    zeros = math.ceil(n_blocks / 2) if form.bits == 4 else 0
    nodes = _SIX_BYTES if form.bits == 6 else 0
    return n_columns * (n_blocks * form.block * form.bits // 8 + 2 * n_blocks + zeros) + nodes


def convert(product: Product, form: Form, shelf: Shelf) -> None:
    """Give a product that form, rounded by GPTQ; its integers wait on the shelf.

    Raises OSError when the disk is full.
    """
    rounded = _rounded(product, form, shelf)
    for node in product.nodes:
        if form.bits == 6:
            six_bits.quantize_product(node, form.block, rounded)
        else:
            quantize_product(node, _settings(form), rounded)


def _settings(form: Form) -> WeightOnly:
    """Of 4 or 8 bits. Zero points pay where fifteen levels are all there is."""
    if form.bits == 4:
        return WeightOnly(4, form.block, method="asymmetric")
    return WeightOnly(8, form.block)


def _grid(weight: Array, form: Form) -> tuple[Array, NDArray[np.uint8] | None]:
    """Scales as they are stored, and zero points, `[blocks, columns]`.

    In float16 where that holds them; those of 6 bits are a fourth of a step.
    """
    zeros = None
    if form.bits == 4:
        scales, zeros = asymmetric_blocks(weight, 0, form.block, 4)
    else:
        share = {6: np.float32(127 / 31 / 4), 8: np.float32(1)}[form.bits]
        scales = block_scales(weight, 0, form.block, 8) * share
    if scales.min() >= _SMALLEST_HALF and scales.max() <= _LARGEST_HALF:
        return scales.astype(np.float16), zeros
    return scales, zeros


def _steps(stored: Array, form: Form) -> Array:
    """Between neighbouring values, float32 `[blocks, columns]`."""
    steps: Array = stored.astype(np.float32) * np.float32(4 if form.bits == 6 else 1)
    return steps


def _rounded(product: Product, form: Form, shelf: Shelf) -> Rounded:
    """The weight by GPTQ, its blob on the shelf."""
    weight = read(_matrix(product.nodes[0]))
    stored, zeros = _grid(weight, form)
    scales = _steps(stored, form)
    points = np.full(scales.shape, 2 ** (form.bits - 1), np.uint8) if zeros is None else zeros
    chosen = error_compensated(weight, product.factor, scales, points, form.block, form.bits)
    blob = pack_matmul(chosen, scales, form.block, 4 if form.bits == 4 else 8, points)
    kept = shelf.put(blob.reshape(len(blob), -1).view(np.int8))
    shape = blob.shape
    return Rounded(stored, zeros, lambda: kept.read().view(np.uint8).reshape(shape))


def _matrix(node: ir.Node) -> ir.TensorProtocol:
    tensor = weight_of(node)
    assert tensor is not None
    return tensor
