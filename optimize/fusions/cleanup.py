"""Constants folded, identities and dead code removed, equal subexpressions shared.

Dynamic lengths stay dynamic: only what depends on constants alone is folded.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
    IdentityEliminationPass,
    LiftConstantsToInitializersPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)
from onnxscript.optimizer import fold_constants

from optimize.graph import SMALL_CONSTANT_ELEMENTS, tensor_of


def clean(model: ir.Model) -> int:
    """Clean a model in place; returns how many nodes fewer it has."""
    before = model.graph.num_nodes()
    # Buckets of distances take the logarithm of 0 and drop it again, as in the runtime: no warning.
    with np.errstate(all="ignore"):
        fold_constants(
            model,
            onnx_shape_inference=False,
            input_size_limit=SMALL_CONSTANT_ELEMENTS,
            output_size_limit=SMALL_CONSTANT_ELEMENTS,
            should_fold=_should_fold,
        )
    for each in (
        IdentityEliminationPass(),
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        DeduplicateInitializersPass(),
        CommonSubexpressionEliminationPass(),
        RemoveUnusedNodesPass(),
        RemoveUnusedOpsetsPass(),
    ):
        each(model)
    return before - model.graph.num_nodes()


def _should_fold(node: ir.Node) -> bool | None:
    """False where an input is large: the library would hold a transposed weight in memory.

    True for what it keeps by default though it is small: the constant part of a position bias.
    """
    tensors = (tensor_of(value) for value in node.inputs)
    if any(each is not None and each.size > SMALL_CONSTANT_ELEMENTS for each in tensors):
        return False
    return True if node.op_type == "ConstantOfShape" else None
