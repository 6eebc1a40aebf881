"""Nodes that ONNX Runtime's CPU provider does not survive in float16."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from optimize.surgery.scopes import all_nodes

_BATCH_TRANSPOSED = "the runtime ends when it joins this to a product in float16"


def by_kernels(graph: ir.Graph) -> dict[ir.Node, str]:
    """Transpositions of the batch axes that a product reads, in a graph and its bodies.

    The runtime (1.31) joins both into one operator, of which it has no float16 kernel, and ends by
    a segmentation fault while it loads the model. A Cast between them keeps them apart.
    """
    return {
        node: _BATCH_TRANSPOSED
        for node in all_nodes(graph)
        if node.op_type == "Transpose" and _moves_batch(node) and _feeds_a_product(node)
    }


def _moves_batch(node: ir.Node) -> bool:
    """Whether the first axis goes before the last one, and the others stay in their order."""
    attribute = node.attributes.get("perm")
    if attribute is None:
        return False
    axes: Sequence[int] = attribute.as_ints()
    last = len(axes) - 1
    return last >= 2 and list(axes) == [*range(1, last), 0, last]


def _feeds_a_product(node: ir.Node) -> bool:
    return any(use.node.op_type == "MatMul" for use in node.outputs[0].uses())
