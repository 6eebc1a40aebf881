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
from optimize.precision.shared import half_storage, native_product
from optimize.precision.shared.plan import code_path, conversion, plan
from optimize.surgery.graph import weight_of
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
        natives = native_product.taken_products(model.graph, plan.chosen if self.native else ())
        for node in plan.chosen:
            tensor = weight_of(node)
            assert tensor is not None
            if node in natives:
                native_product.bfloat16_product(node, natives[node])
            else:
                rounded = partial(native_product.bfloat16_of, tensor)
                half_storage.store(node, 1, "bfloat16", ir.DataType.BFLOAT16, rounded)
        return conversion(model.graph, len(plan.chosen), "bfloat16", plan.left)
