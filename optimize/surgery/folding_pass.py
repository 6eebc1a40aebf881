"""The library's constant folding, but for what it does in other ways than the runtime."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript.optimizer._constant_folding import FoldConstantsPass, Replacement

from optimize.surgery.graph import TEXT_ATTRIBUTES


class Folding(FoldConstantsPass):
    """The library's folding, but for an If and a CastLike of its own ways.

    A node that it fails on stays as it is.
    """

    def process_node(self, node: ir.Node, is_function: bool) -> Replacement | None:
        """What takes the place of a node; None where it stays."""
        # Of a CastLike the library makes a Cast without its attributes, which saturates.
        if node.op_type == "If" or (node.op_type == "CastLike" and node.attributes):
            return None
        if node.op_type == "Constant" and not node.attributes.keys().isdisjoint(TEXT_ATTRIBUTES):
            return None
        try:
            return super().process_node(node, is_function)
        except RuntimeError:
            # The library's wrapper of whatever an odd node provokes: the node is as it was.
            return None
