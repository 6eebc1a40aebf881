"""Int8 activations with zero point 0, from uint8 ones whose zero point is 128: the same numbers.

TensorRT takes no other, NPUs and ARM kernels often prefer them. Ranges must be symmetric, which
costs up to a bit where values are mostly of one sign. On x86 ONNX Runtime turns such pairs back
into uint8 ones before it fuses, so that the kernels are those of uint8.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from optimize.surgery.graph import add_constant, read, tensor_of

_UNSIGNED_ZERO = 128


def make_signed(graph: ir.Graph) -> int:
    """Shift every uint8 activation of a graph by 128, in place; how many were shifted.

    Every QuantizeLinear and DequantizeLinear of uint8 must have the zero point 128.
    """
    zero: dict[tuple[int, ...], ir.Value] = {}
    count = 0
    for node in graph:
        tensor = tensor_of(node.inputs[2]) if _is_pair(node) else None
        if tensor is None or tensor.dtype != ir.DataType.UINT8:
            continue
        values = read(tensor)
        if (values != _UNSIGNED_ZERO).any():
            raise ValueError(f"{node.name}: its zero point is not {_UNSIGNED_ZERO}")
        if values.shape not in zero:
            zeros = np.zeros(values.shape, np.int8)
            zero[values.shape] = add_constant(graph, f"zero.int8.{len(zero)}", zeros)
        node.replace_input_with(2, zero[values.shape])
        if node.op_type == "QuantizeLinear":
            node.outputs[0].type = ir.TensorType(ir.DataType.INT8)
            count += 1
    return count


def _is_pair(node: ir.Node) -> bool:
    return node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.inputs) > 2
