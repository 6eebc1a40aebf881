"""Constants folded, identities and dead code removed, equal subexpressions shared.

Dynamic lengths stay dynamic: only what depends on constants alone is folded.
"""

from __future__ import annotations

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

from optimize.graph import SMALL_CONSTANT_ELEMENTS


def clean(model: ir.Model) -> int:
    """Clean a model in place; returns how many nodes fewer it has."""
    before = model.graph.num_nodes()
    fold_constants(
        model,
        onnx_shape_inference=False,
        input_size_limit=SMALL_CONSTANT_ELEMENTS,
        output_size_limit=SMALL_CONSTANT_ELEMENTS,
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
