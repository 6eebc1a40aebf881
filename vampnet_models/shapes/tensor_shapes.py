"""The concrete shape of every tensor of a graph at given input shapes, without running it.

onnx's own inference stops at contrib operators and at shapes computed by arithmetic that its
data propagation lacks (Mod, for one). Here each node is visited once: small integer tensors are
evaluated, standard operators go through their schema's inference, contrib ones through a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx.shape_inference
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes.common import InlinePass

from vampnet_models.errors import reason_of
from vampnet_models.onnxfile.operators import (
    DEFAULT_DOMAINS,
    GELU_OPS,
    MICROSOFT,
    NATIVE_BYTE_OPS,
    NATIVE_CONV,
    NATIVE_DOMAIN,
    NATIVE_PRODUCT_BIASES,
    NORM_OPS,
    ONLY_IN_RUNTIME_OPS,
)

Shape = tuple[int, ...]

_SMALL_ELEMENTS = 4096
"""Tensors up to this size are evaluated: shapes and indices, never activations."""

_STRING_BYTES = 64
"""What a string counts as: a short one, as the runtime and Python hold it."""


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor; `value` only for small ones that do not depend on the input."""

    dtype: ir.DataType
    shape: Shape
    value: NDArray[Any] | None = None

    @property
    def elements(self) -> int:
        """The number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """The size, with 4-bit elements packed; that of strings is a guess."""
        if self.dtype == ir.DataType.STRING:
            return self.elements * _STRING_BYTES
        return math.ceil(self.elements * self.dtype.itemsize)


@dataclass(frozen=True)
class Unresolved:
    """A node whose output shapes could not be told."""

    node: str
    op_type: str
    reason: str


@dataclass(frozen=True)
class Shapes:
    """All tensors by name, and the nodes where inference stopped."""

    tensors: Mapping[str, Tensor]
    unresolved: tuple[Unresolved, ...]


def infer_shapes(model: ir.Model, inputs: Mapping[str, Shape]) -> Shapes:
    """Shapes of all tensors of the main graph when its inputs have these shapes.

    Model-local functions are inlined in `model`. Nodes behind an unresolved one are unresolved
    too; control flow is not entered. Raises KeyError naming a graph input without a shape.
    """
    InlinePass()(model)
    tensors: dict[str, Tensor] = {}
    for name, value in model.graph.initializers.items():
        constant = value.const_value
        if constant is not None:
            tensors[name] = _constant(constant)
    for value in model.graph.inputs:
        name = value.name or ""
        if name in tensors:
            continue
        if name not in inputs:
            raise KeyError(f"no shape was given for the input {name}")
        tensors[name] = Tensor(value.dtype or ir.DataType.FLOAT, tuple(inputs[name]))
    unresolved = []
    for node in model.graph:
        try:
            found = _outputs(node, tensors, model)
        except Exception as error:  # noqa: BLE001
            # Schema inference and the evaluator raise whatever their operator's code raises;
            # the node is listed with it.
            found = f"{type(error).__name__}: {reason_of(error, 120)}"
        if isinstance(found, str):
            unresolved.append(Unresolved(node.name or "", node.op_type, found))
        else:
            tensors.update(found)
    return Shapes(tensors, tuple(unresolved))


def _outputs(
    node: ir.Node, tensors: Mapping[str, Tensor], model: ir.Model
) -> dict[str, Tensor] | str:
    """The node's outputs, or why they are not known."""
    inputs: list[Tensor | None] = []
    for value in node.inputs:
        if value is None or not value.name:
            inputs.append(None)
        elif value.name in tensors:
            inputs.append(tensors[value.name])
        else:
            return f"its input {value.name} is unknown"
    names = [value.name or "" for value in node.outputs]
    evaluated = _evaluate(node, inputs)
    if evaluated is not None:
        return dict(zip(names, evaluated, strict=False))
    if node.domain == NATIVE_DOMAIN and inputs[0] is not None:
        dtype = ir.DataType.UINT8 if node.op_type in NATIVE_BYTE_OPS else ir.DataType.FLOAT
        bias = inputs[NATIVE_PRODUCT_BIASES.get(node.op_type, 0)]
        if node.op_type in NATIVE_PRODUCT_BIASES and bias is not None:
            return {names[0]: Tensor(dtype, (*inputs[0].shape[:-1], *bias.shape))}
        if node.op_type == NATIVE_CONV:
            return {names[0]: Tensor(dtype, _convolved(inputs))}
        return {names[0]: Tensor(dtype, inputs[0].shape)}
    contrib = _CONTRIB.get(node.op_type)
    if contrib is not None and (node.domain == MICROSOFT or node.op_type in ONLY_IN_RUNTIME_OPS):
        dtype, shape = contrib(node, inputs)
        return {names[0]: Tensor(dtype, shape)}
    return _by_schema(node, inputs, names, model)


def _convolved(inputs: list[Tensor | None]) -> Shape:
    """The shape of the library's convolution; ValueError where its geometry is not known."""
    x, weight, _, bias, geometry = inputs[:5]
    if x is None or weight is None or bias is None or geometry is None or geometry.value is None:
        raise ValueError("its geometry is not a constant")
    stride, dilation, before, behind, up, trim, trim_behind = (int(v) for v in geometry.value)
    spare = x.shape[2] + before + behind - (weight.shape[2] - 1) * dilation - 1
    positions = 0 if spare < 0 else spare // stride + 1
    return (x.shape[0], *bias.shape, max(0, positions * up - trim - trim_behind))


def _evaluate(node: ir.Node, inputs: list[Tensor | None]) -> list[Tensor] | None:
    """The node's small constant outputs; None when it is no constant or no small one."""
    if node.domain not in DEFAULT_DOMAINS:
        return None
    if node.op_type == "Shape" and inputs[0] is not None:
        start, end = _int(node, "start", 0), _int(node, "end", len(inputs[0].shape))
        return [_known(np.asarray(inputs[0].shape[start:end], np.int64))]
    if node.op_type == "Size" and inputs[0] is not None:
        return [_known(np.asarray(inputs[0].elements, np.int64))]
    if node.op_type == "Constant" and "value" in node.attributes:
        return [_constant(node.attributes["value"].as_tensor())]
    if any(t is not None and t.value is None for t in inputs) or _has_graph(node):
        return None
    proto = ir.to_proto(node)
    feeds = {name: t.value for name, t in zip(proto.input, inputs, strict=True) if t is not None}
    size = inputs[0].value if inputs and inputs[0] is not None else None
    if node.op_type in ("ConstantOfShape", "Expand", "Tile", "RandomNormal", "RandomUniform"):
        target = inputs[-1].value if inputs and inputs[-1] is not None else size
        if target is None or math.prod(int(v) for v in target.ravel()) > _SMALL_ELEMENTS:
            return None
    if node.op_type == "Range" and _range_elements(inputs) > _SMALL_ELEMENTS:
        return None
    values = ReferenceEvaluator(proto).run(None, feeds)
    return [_known(np.asarray(v)) for v in values]


def _by_schema(
    node: ir.Node, inputs: list[Tensor | None], names: list[str], model: ir.Model
) -> dict[str, Tensor] | str:
    opsets = dict(model.opset_imports)
    domain = "" if node.domain == "ai.onnx" else node.domain
    version = node.version or opsets.get(domain, 1)
    if not onnx.defs.has(node.op_type, domain):
        return f"no shape rule for {domain or 'ai.onnx'}.{node.op_type}"
    schema = onnx.defs.get_schema(node.op_type, version, domain)
    proto = ir.to_proto(node)
    types, data = {}, {}
    for name, tensor in zip(proto.input, inputs, strict=True):
        if tensor is None:
            continue
        types[name] = onnx.helper.make_tensor_type_proto(tensor.dtype.value, tensor.shape)
        if tensor.value is not None:
            data[name] = onnx.numpy_helper.from_array(tensor.value, name)
    inferred = onnx.shape_inference.infer_node_outputs(
        schema,
        proto,
        types,
        data,
        opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in opsets.items()],
        ir_version=model.ir_version,
    )
    outputs = {}
    for name in filter(None, names):
        tensor_type = inferred[name].tensor_type
        dims = tensor_type.shape.dim
        if not tensor_type.HasField("shape") or any(not d.HasField("dim_value") for d in dims):
            return "its shape depends on values that are known only when it runs"
        outputs[name] = Tensor(ir.DataType(tensor_type.elem_type), tuple(d.dim_value for d in dims))
    return outputs


def _constant(tensor: ir.TensorProtocol) -> Tensor:
    shape = tuple(int(d) for d in tensor.shape.numpy())
    numbers = tensor.dtype != ir.DataType.STRING and tensor.dtype.bitwidth >= 8
    small = math.prod(shape) <= _SMALL_ELEMENTS and numbers
    return Tensor(tensor.dtype, shape, tensor.numpy() if small else None)


def _known(value: NDArray[Any]) -> Tensor:
    return Tensor(ir.DataType.from_numpy(value.dtype), value.shape, value)


def _has_graph(node: ir.Node) -> bool:
    return any(
        a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for a in node.attributes.values()
    )


def _range_elements(inputs: list[Tensor | None]) -> int:
    start, limit, delta = (float(t.value) for t in inputs if t is not None and t.value is not None)
    return max(0, math.ceil((limit - start) / delta))


def _int(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


_Inputs = list[Tensor | None]
_Rule = Callable[[ir.Node, _Inputs], tuple[ir.DataType, Shape]]


def _at(inputs: _Inputs, index: int) -> Tensor:
    tensor = inputs[index] if index < len(inputs) else None
    if tensor is None:
        raise ValueError(f"input {index} is missing")
    return tensor


def _like_first(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    return _at(inputs, 0).dtype, _at(inputs, 0).shape


def _quantize(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    dtype = inputs[2].dtype if len(inputs) > 2 and inputs[2] is not None else ir.DataType.UINT8
    return dtype, _at(inputs, 0).shape


def _dequantize(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    return _at(inputs, 1).dtype, _at(inputs, 0).shape


def _broadcast_quantized(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    shape = np.broadcast_shapes(_at(inputs, 0).shape, _at(inputs, 3).shape)
    return _at(inputs, 0).dtype, tuple(shape)


def _matmul(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    a, b = _at(inputs, 0).shape, _at(inputs, 1).shape
    if _int(node, "transA", 0):
        a = (*a[:-2], a[-1], a[-2])
    if _int(node, "transB", 0):
        b = (*b[:-2], b[-1], b[-2])
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    dtype = _at(inputs, 0).dtype
    return (dtype if dtype.is_floating_point() else ir.DataType.FLOAT), (*batch, a[-2], b[-1])


def _matmul_nbits(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    return _at(inputs, 0).dtype, (*_at(inputs, 0).shape[:-1], node.attributes["N"].as_int())


def _qgemm(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    quantized = len(inputs) > 8 and inputs[8] is not None
    dtype = _at(inputs, 0).dtype if quantized else ir.DataType.FLOAT
    a, b = _at(inputs, 0).shape, _at(inputs, 3).shape
    rows = a[1] if _int(node, "transA", 0) else a[0]
    return dtype, (rows, b[0] if _int(node, "transB", 0) else b[1])


def _attention(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    query, value = _at(inputs, 0), _at(inputs, 2)
    if len(value.shape) == 4:  # [batch, heads, keys, head size]: the output joins the heads
        return query.dtype, (*query.shape[:2], value.shape[1] * value.shape[3])
    return query.dtype, (*query.shape[:2], value.shape[-1])


def _fused_conv(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    x, w = _at(inputs, 0).shape, _at(inputs, 1).shape
    n = len(x) - 2
    strides = _ints(node, "strides", [1] * n)
    dilations = _ints(node, "dilations", [1] * n)
    pads = _ints(node, "pads", [0] * 2 * n)
    spatial = (
        (x[2 + i] + pads[i] + pads[n + i] - dilations[i] * (w[2 + i] - 1) - 1) // strides[i] + 1
        for i in range(n)
    )
    return _at(inputs, 0).dtype, (x[0], w[0], *spatial)


def _qlinear_conv(node: ir.Node, inputs: _Inputs) -> tuple[ir.DataType, Shape]:
    """Its weight is the fourth input; `channels_last` moves only the activations' channels."""
    x, weight = _at(inputs, 0), _at(inputs, 3)
    last = bool(_int(node, "channels_last", 0))
    first = (x.shape[0], x.shape[-1], *x.shape[1:-1]) if last else x.shape
    shape = _fused_conv(node, [Tensor(x.dtype, first), weight])[1]
    return x.dtype, (shape[0], *shape[2:], shape[1]) if last else shape


def _ints(node: ir.Node, name: str, default: list[int]) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else default


_CONTRIB: dict[str, _Rule] = {
    **dict.fromkeys((*NORM_OPS, *GELU_OPS), _like_first),
    "QLinearSigmoid": _like_first,
    "QLinearLeakyRelu": _like_first,
    "QLinearSoftmax": _like_first,
    "RotaryEmbedding": _like_first,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "QLinearAdd": _broadcast_quantized,
    "QLinearMul": _broadcast_quantized,
    "FusedMatMul": _matmul,
    "TransposeMatMul": _matmul,
    "DynamicQuantizeMatMul": _matmul,
    "MatMulIntegerToFloat": _matmul,
    "MatMulNBits": _matmul_nbits,
    "QGemm": _qgemm,
    "MultiHeadAttention": _attention,
    "FusedConv": _fused_conv,
    "QLinearConv": _qlinear_conv,
}
"""Output 0 of the contrib operators that our variants and ONNX Runtime's optimizer use."""
