"""Constants folded, identities and dead code removed, equal subexpressions shared.

The inputs and outputs of every graph, those of If, Loop and Scan too, stay as they are.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedOpsetsPass

from optimize.surgery.equal_nodes import merge_equal_initializers, merge_equal_nodes
from optimize.surgery.folding import fold
from optimize.surgery.graph import TEXT_ATTRIBUTES
from optimize.surgery.identities import remove_identities
from optimize.surgery.unused import remove_unused


def clean(model: ir.Model) -> int:
    """Clean a model in place; returns how many nodes fewer it has."""
    before = model.graph.num_nodes()
    lift = _Lifting(lift_all_constants=True, size_limit=0)
    lift(model)
    fold(model)
    remove_identities(model)
    lift(model)
    merge_equal_initializers(model)
    merge_equal_nodes(model)
    remove_unused(model)
    RemoveUnusedOpsetsPass()(model)
    return before - model.graph.num_nodes()


class _Lifting(LiftConstantsToInitializersPass):
    """The library's pass, but for texts and sparse values, which stay Constants."""

    def _constant_node_attribute_to_tensor(
        self, node: ir.Node, attr_name: str, attr_value: ir.Attr, initializer_name: str
    ) -> ir.TensorProtocol | None:
        if attr_name in (*TEXT_ATTRIBUTES, "sparse_value"):
            return None
        return super()._constant_node_attribute_to_tensor(
            node, attr_name, attr_value, initializer_name
        )
