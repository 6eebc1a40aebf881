"""bfloat16: 8 bits of mantissa and float32's range, so that nothing overflows.

Weights of products are stored in it. Where the optional library is there it multiplies in it too,
with sums in float32, on processors with such products (AVX512-BF16); without it the runtime unfolds
the weights at load, and computes in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from optimize.precision.contract import Conversion, Evidence, Plan, Precision, Traits
from optimize.precision.shared import native_product
from optimize.precision.shared.plan import code_path, conversion, plan
from optimize.surgery.graph import derived_weight, dims, insert, weight_of
from vampnet_models.errors import NotApplicable

_MIN_ELEMENTS = 512
"""Smaller weights stay: the node that unfolds them would eat the saving."""


@dataclass(frozen=True)
class Bfloat16(Precision[Plan]):
    """Products with weights in bfloat16, multiplied in it where `native`."""

    native: bool = False

    def plan(self, graph: ir.Graph, traits: Traits) -> Plan:
        """The products of the graph, but for those that decide the codes.

        Raises NotApplicable where there is none.
        """
        found = plan(graph, ("MatMul",), code_path(graph, traits), _MIN_ELEMENTS)
        if not found.chosen:
            raise NotApplicable("it has no product with a matrix of its own to store in bfloat16")
        return Plan(found.chosen, found.left, traits=traits)

    def apply(self, model: ir.Model, plan: Plan, evidence: Evidence) -> Conversion:
        """Convert the products of the plan in place; weights are read when they are written."""
        taken = [node for node in plan.chosen if self.native and native_product.is_taken(node)]
        epilogues = native_product.epilogues(model.graph, taken)
        for node in plan.chosen:
            if node in taken:
                native_product.bfloat16_product(
                    node, epilogues.get(node, native_product.Epilogue())
                )
            else:
                _store(node)
        return conversion(model.graph, len(plan.chosen), "bfloat16", plan.left)


def _store(node: ir.Node) -> None:
    """Let a Cast stand between a weight in bfloat16 and its reader."""
    tensor, value = weight_of(node), node.inputs[1]
    assert tensor is not None and value is not None
    compute = partial(native_product.bfloat16_of, tensor)
    half = derived_weight(value, "bfloat16", ir.DataType.BFLOAT16, dims(tensor), compute)
    (restored,) = insert(
        node,
        "Cast",
        [half],
        {"to": ir.DataType.FLOAT},
        name=f"{node.name}/weight",
        shapes=[half.shape],
    )
    node.replace_input_with(1, restored)
