"""GPTQ on a whole model: layer by layer, in memory bounded by a few layers' moments.

The float model runs on the calibration feeds; MatMuls that share an input share its second
moments. Each is rounded as soon as its moments are known; only the packed integers are kept until
the variant is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from calibration.collect import Progress, collect_moments
from optimize.graph import Array, read, weight_of
from optimize.precision.gptq import error_compensated
from optimize.precision.plan import Conversion
from optimize.precision.quantize import asymmetric_blocks, pack_matmul
from optimize.precision.weight_only import Rounded, Settings, targets
from optimize.precision.weight_only import convert as convert_weights
from vampnet_models.errors import InputError
from vampnet_models.session import Feeds


def convert(
    settings: Settings,
    model: ir.Model,
    fused: Path,
    feeds: Sequence[Feeds],
    progress: Progress | None = None,
) -> Conversion:
    """Quantize the weights of a model in place, its MatMuls by GPTQ; convolutions to nearest.

    `fused` is the same model on disk. Raises InputError without blocks, and as `collect_moments`
    does.
    """
    if settings.block is None:
        raise InputError("gptq: takes blocks; give --block 32, 64 or 128")
    readers: dict[str, list[ir.Node]] = defaultdict(list)
    widths: dict[str, int] = {}
    for node in targets(model.graph).chosen:
        tensor, x = weight_of(node), node.inputs[0]
        if node.op_type == "MatMul" and tensor is not None and x is not None and x.name:
            readers[x.name].append(node)
            widths[x.name] = int(tensor.shape.numpy()[0])
    rounded: dict[ir.Node, Rounded] = {}
    moments_of = collect_moments(fused, feeds, widths, progress=progress) if widths else ()
    for name, moments in moments_of:
        for node in readers[name]:
            rounded[node] = _round(node, moments, settings, settings.block)
    return convert_weights(model, settings, rounded)


def _round(node: ir.Node, moments: Array, settings: Settings, block: int) -> Rounded:
    tensor = weight_of(node)
    assert tensor is not None
    weight = read(tensor)
    scales, zeros = asymmetric_blocks(weight, 0, block, settings.bits)
    chosen = error_compensated(weight, moments, scales, zeros, block, settings.bits)
    # Values of the grid are packed as they are: rounding gives each its own integer back.
    blob = pack_matmul(chosen, scales, block, settings.bits, zeros)
    return Rounded(scales, zeros, blob)
