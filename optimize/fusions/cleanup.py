"""Constants folded, identities and dead code removed, equal subexpressions shared.

The inputs and outputs of every graph, those of If, Loop and Scan too, stay as they are.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedOpsetsPass

from optimize.equal_nodes import merge_equal_initializers, merge_equal_nodes
from optimize.folding import fold
from optimize.identities import remove_identities
from optimize.unused import remove_unused


def clean(model: ir.Model) -> int:
    """Clean a model in place; returns how many nodes fewer it has."""
    before = model.graph.num_nodes()
    lift = LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)
    lift(model)
    fold(model)
    remove_identities(model)
    lift(model)
    merge_equal_initializers(model)
    merge_equal_nodes(model)
    remove_unused(model)
    RemoveUnusedOpsetsPass()(model)
    return before - model.graph.num_nodes()
