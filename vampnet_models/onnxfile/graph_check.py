"""Our own check of a graph that was read: what every later step takes for granted.

`header` has compared what the file declares with what it holds; this looks at what nodes say of
themselves. Types and cycles stay to the runtime, which knows every operator.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from vampnet_models.onnxfile.external import shown
from vampnet_models.onnxfile.operators import DEFAULT_DOMAINS

_MAX_OPSET = 2**31 - 1
_CONSTANT_VALUES = frozenset(
    {"value", "sparse_value", "value_float", "value_floats", "value_int", "value_ints"}
    | {"value_string", "value_strings"}
)
"""A Constant has one of these attributes, and nothing else."""


def check_graph(model: ir.Model) -> None:
    """Raise ValueError in one line where a node has no opset, or attributes that are none."""
    _check_imports(model.opset_imports)
    nodes = list(model.graph.all_nodes())
    _check_nodes(nodes, model, model.opset_imports, in_function=False)
    for function in model.functions.values():
        _check_imports(function.opset_imports)
        _check_nodes(function.all_nodes(), model, function.opset_imports, in_function=True)


def open_shapes(model: ir.Model) -> None:
    """Make a dimension below 0 an unknown one, and an undefined type none, as the runtime does."""
    for graph in model.graphs():
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            if value.shape is not None and any(_is_below_0(dim) for dim in value.shape):
                value.shape = ir.Shape([None if _is_below_0(dim) else dim for dim in value.shape])
            if value.type is not None and value.dtype is ir.DataType.UNDEFINED:
                value.type = None


def _is_below_0(dim: int | ir.SymbolicDim) -> bool:
    return isinstance(dim, int) and dim < 0


def _check_imports(imports: dict[str, int]) -> None:
    for domain, version in imports.items():
        if not 0 < version <= _MAX_OPSET:
            raise ValueError(f"opset {version} of {shown(domain or 'ai.onnx')!r} is no version")


def _check_nodes(
    nodes: Iterable[ir.Node], model: ir.Model, imports: dict[str, int], *, in_function: bool
) -> None:
    domains = set(imports)
    if domains & DEFAULT_DOMAINS:
        domains |= DEFAULT_DOMAINS
    for node in nodes:
        told = f"node {shown(node.name or node.op_type)!r}"
        if node.domain not in domains:
            raise ValueError(
                f"{told} is of {shown(node.domain or 'ai.onnx')!r}, of which the model names no "
                "opset"
            )
        if not node.op_type:
            raise ValueError(f"{told} has no operator type")
        _check_attributes(node, told, in_function)
        function = model.functions.get(node.op_identifier())
        if function is not None:
            _check_call(node, function, told)
        if any(not each.configuration for each in getattr(node, "device_configurations", ())):
            raise ValueError(f"{told} is of a device configuration without a name")


def _check_attributes(node: ir.Node, told: str, in_function: bool) -> None:
    for name, attribute in node.attributes.items():
        if not name or attribute.type is ir.AttributeType.UNDEFINED:
            raise ValueError(f"{told} has an attribute {shown(name)!r} without a name or type")
        if attribute.is_ref() and not in_function:
            raise ValueError(f"{told} refers to a function's attribute, and stands in none")
        if any(tensor.dtype is ir.DataType.UNDEFINED for tensor in _tensors_of(attribute)):
            raise ValueError(f"{told} has an attribute {shown(name)!r} without its tensor")
    if node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS:
        names = set(node.attributes)
        if len(names) != 1 or not names <= _CONSTANT_VALUES or len(node.outputs) != 1:
            raise ValueError(f"{told} is a Constant without one value")


def _tensors_of(attribute: ir.Attr) -> tuple[ir.TensorProtocol, ...]:
    if attribute.is_ref():
        return ()
    if attribute.type is ir.AttributeType.TENSOR:
        return (attribute.value,)
    return tuple(attribute.value) if attribute.type is ir.AttributeType.TENSORS else ()


def _check_call(node: ir.Node, function: ir.Function, told: str) -> None:
    for kind, given, taken in (
        ("inputs", len(node.inputs), len(function.inputs)),
        ("outputs", len(node.outputs), len(function.outputs)),
    ):
        if given > taken:
            raise ValueError(f"{told} has {given} {kind}, its function {taken}")
    if len(node.outputs) < len(function.outputs):
        # Those at the end may be left out; what inlines functions wants them all.
        node.resize_outputs(len(function.outputs))
