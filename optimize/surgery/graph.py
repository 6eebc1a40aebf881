"""Small tools on onnx_ir graphs that rules and precisions share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from optimize.surgery.scopes import derived, scope_of
from vampnet_models.onnxfile.inference import infer

Array = NDArray[Any]

Dimension = int | ir.SymbolicDim | None

SMALL_CONSTANT_ELEMENTS = 65_536
"""Constants up to this size are read while a graph is analysed; larger ones only when written."""

TEXT_ATTRIBUTES = ("value_string", "value_strings")
"""Attributes of a Constant that the libraries read as ASCII, or fail."""


class NoMatch(Exception):
    """A node that looked like a candidate is none; the message is the reason."""


def tensor_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor of an initializer, None for any other value."""
    if value is None or not value.is_initializer() or value.is_graph_input():
        return None
    return value.const_value


def weight_of(node: ir.Node, index: int = 1) -> ir.TensorProtocol | None:
    """The constant float tensor at an input, None where there is none."""
    tensor = tensor_of(node.inputs[index]) if index < len(node.inputs) else None
    return tensor if tensor is not None and tensor.dtype == ir.DataType.FLOAT else None


def dims(tensor: ir.TensorProtocol) -> tuple[int, ...]:
    """A tensor's dimensions."""
    return tuple(tensor.shape.numpy())


def read(tensor: ir.TensorProtocol) -> Array:
    """The values as an array of their own; any number of threads may read at once."""
    if not isinstance(tensor, ir.ExternalTensor):
        return np.asarray(tensor.numpy())
    if tensor.dtype.bitwidth < 8:
        return np.array(tensor.numpy())
    values = np.empty(dims(tensor), tensor.dtype.numpy())
    # Copied in pieces: a mapping of the file would count as memory beside its copy.
    tensor.tofile(_Filled(values.reshape(-1).view(np.uint8)))
    return values


def read_transposed(tensor: ir.TensorProtocol) -> Array:
    """`[columns, rows]` of a tensor `[rows, columns, ...]` whose further axes are 1.

    Rows are turned as they come from the file: the tensor is never held twice.
    """
    n_rows, n_columns = dims(tensor)[:2]
    if not isinstance(tensor, ir.ExternalTensor) or tensor.dtype.bitwidth < 8:
        return np.ascontiguousarray(read(tensor).reshape(n_rows, n_columns).T)
    turned = np.empty((n_columns, n_rows), tensor.dtype.numpy())
    tensor.tofile(_Turned(turned))
    return turned


class _Turned:
    """A file to write rows to that is an array of them as columns."""

    def __init__(self, target: Array) -> None:
        self._target, self._position, self._rest = target, 0, b""

    def write(self, data: bytes) -> int:
        held = self._rest + data
        n_columns, itemsize = self._target.shape[0], self._target.itemsize
        n_rows = len(held) // (n_columns * itemsize)
        whole = n_rows * n_columns * itemsize
        rows = np.frombuffer(held[:whole], self._target.dtype).reshape(n_rows, n_columns)
        self._target[:, self._position : self._position + n_rows] = rows.T
        self._position += n_rows
        self._rest = held[whole:]
        return len(data)


class _Filled:
    """A file to write to that is an array of bytes."""

    def __init__(self, target: NDArray[np.uint8]) -> None:
        self._target, self._position = target, 0

    def write(self, data: bytes) -> int:
        end = self._position + len(data)
        self._target[self._position : end] = np.frombuffer(data, np.uint8)
        self._position = end
        return len(data)


def constant(value: ir.Value | None) -> Array | None:
    """A small constant's values, None for anything else."""
    tensor = tensor_of(value)
    if tensor is None or tensor.size > SMALL_CONSTANT_ELEMENTS:
        return None
    return read(tensor)


def scalar(value: ir.Value | None) -> float | None:
    """The single element of a constant, None for anything else."""
    values = constant(value)
    return float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None


def constant_operand(node: ir.Node) -> tuple[ir.Value, Array]:
    """The other operand and the constant of a binary node. Raises NoMatch."""
    for index in (1, 0):
        values = constant(node.inputs[index])
        other = node.inputs[1 - index]
        if values is not None and other is not None:
            return other, values
    raise NoMatch(f"{node.op_type} {node.name} has no constant operand")


def produced_by(value: ir.Value | None, *op_types: str) -> ir.Node:
    """The node that makes `value`. Raises NoMatch unless it is one of these operators."""
    node = value.producer() if value is not None else None
    wanted = " or ".join(op_types)
    if node is None:
        name = value.name if value is not None else "a missing input"
        raise NoMatch(f"{name} is no node's output where {wanted} was expected")
    if node.op_type not in op_types:
        raise NoMatch(f"{node.name} is {node.op_type} where {wanted} was expected")
    return node


def consumed_by(value: ir.Value, *op_types: str) -> ir.Node:
    """The only reader of `value`. Raises NoMatch unless it is one of these operators."""
    wanted = " or ".join(op_types)
    if value.is_graph_output():
        raise NoMatch(f"{value.name} is a graph output where only {wanted} may read it")
    readers = value.consumers()
    if len(readers) != 1:
        raise NoMatch(f"{value.name} has {len(readers)} readers where only {wanted} may read it")
    if readers[0].op_type not in op_types:
        raise NoMatch(f"{readers[0].name} is {readers[0].op_type} where {wanted} was expected")
    return readers[0]


def rank_of(value: ir.Value) -> int | None:
    """The number of axes, None when unknown."""
    return None if value.shape is None else len(value.shape)


def ints_of(node: ir.Node, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """An integer-list attribute or its default."""
    attribute = node.attributes.get(name)
    return tuple(default) if attribute is None else tuple(attribute.as_ints())


def int_of(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def string_of(node: ir.Node, name: str, default: str) -> str:
    """A string attribute or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def _add_tensor(graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """Register a tensor as an initializer under a name that is free."""
    tensor.name = scope_of(graph).name_value(name)
    value = ir.Value(
        name=tensor.name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(dims(tensor)),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def add_constant(graph: ir.Graph, name: str, values: Array) -> ir.Value:
    """Register a small array as an initializer."""
    return _add_tensor(graph, name, ir.Tensor(values))


def add_weight(
    graph: ir.Graph,
    name: str,
    dtype: ir.DataType,
    shape: Sequence[int],
    compute: Callable[[], Array | ir.TensorProtocol],
) -> ir.Value:
    """Register an initializer that is computed when it is written, and never kept."""

    def load() -> ir.TensorProtocol:
        values = compute()
        if isinstance(values, np.ndarray):
            return ir.Tensor(np.ascontiguousarray(values), dtype=dtype)
        return values

    return _add_tensor(graph, name, ir.LazyTensor(load, dtype=dtype, shape=ir.Shape(list(shape))))


def derived_weight(
    source: ir.Value,
    form: str,
    dtype: ir.DataType,
    shape: Sequence[int],
    compute: Callable[[], Array | ir.TensorProtocol],
) -> ir.Value:
    """`add_weight` of what is made of a constant, beside it: once for all its readers."""

    def make() -> tuple[ir.Value]:
        return (add_weight(home_of(source), f"{source.name}.{form}", dtype, shape, compute),)

    return derived(source, form, make)[0]


def home_of(value: ir.Value) -> ir.Graph:
    """The graph that holds a value; TypeError where none does."""
    if not isinstance(value.graph, ir.Graph):
        raise TypeError(f"{value.name}: not in a graph")
    return value.graph


def insert(
    before: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str,
    domain: str = "",
    dtypes: Sequence[ir.DataType | None] = (ir.DataType.FLOAT,),
    shapes: Sequence[Iterable[Dimension] | None] = (),
) -> Sequence[ir.Value]:
    """Put a node in front of another and return its outputs, one per dtype."""
    graph = graph_of(before)
    scope = scope_of(graph)
    node = ir.Node(
        domain,
        op_type,
        inputs,
        ir.convenience.convert_attributes(attributes or {}),
        num_outputs=len(dtypes),
        name=scope.name_node(name),
    )
    for index, (value, dtype) in enumerate(zip(node.outputs, dtypes, strict=True)):
        suffix = "" if len(dtypes) == 1 else str(index)
        value.name = scope.name_value(f"{node.name}.out{suffix}")
        value.type = None if dtype is None else ir.TensorType(dtype)
        shape = shapes[index] if index < len(shapes) else None
        value.shape = None if shape is None else ir.Shape(list(shape))
    graph.insert_before(before, node)
    if domain:
        scope.main.opset_imports.setdefault(domain, 1)
    return node.outputs


def cast(value: ir.Value, dtype: ir.DataType, graph: ir.Graph, *, name: str) -> ir.Node:
    """A Cast that has its names from a graph and no place in it yet."""
    scope = scope_of(graph)
    to = ir.AttrInt64("to", dtype)
    node = ir.Node("", "Cast", [value], [to], name=scope.name_node(name))
    result = node.outputs[0]
    result.name = scope.name_value(f"{node.name}.out")
    result.type, result.shape = ir.TensorType(dtype), value.shape
    return node


def insert_behind(value: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Put nodes where the value is made, or first in the graph that it is an input of."""
    graph, maker = home_of(value), value.producer()
    if maker is not None:
        graph.insert_after(maker, nodes)
    elif len(graph):
        graph.insert_before(graph[0], nodes)
    else:
        graph.extend(nodes)


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that holds a node; TypeError inside a function."""
    if not isinstance(node.graph, ir.Graph):
        raise TypeError(f"{node.name}: not in a graph")
    return node.graph


def substitute(old: ir.Value, new: ir.Value) -> None:
    """Let everything that read `old` read `new`; drop the nodes that nothing reads any more.

    `new` takes over the type, the shape and, when `old` is a graph output, the name.
    """
    new.type, new.shape = old.type, old.shape
    is_output, name = old.is_graph_output(), old.name
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    if is_output:
        old.name = scope_of(home_of(old)).name_value(f"{name}.replaced")
        new.name = name
    _prune(old)


def _prune(value: ir.Value) -> None:
    """Remove the node that makes `value`, and what only fed it, when nothing reads them."""
    pending = [value]
    while pending:
        node = pending.pop().producer()
        if node is None or node.graph is None:
            continue
        if any(out.uses() or out.is_graph_output() for out in node.outputs):
            continue
        inputs = [v for v in node.inputs if v is not None]
        graph_of(node).remove(node, safe=True)
        pending.extend(inputs)


def infer_shapes(model: ir.Model) -> None:
    """Fill in types and shapes, without reading the weights; all stays unknown where that fails."""
    infer(model)
