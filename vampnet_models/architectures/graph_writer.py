"""Write an ONNX graph node by node, with weights that are read only when they are saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.inference import infer
from vampnet_models.spec import IR_VERSION, OPSET

Array = NDArray[Any]
_Read = Callable[[], Array]


class GraphBuilder:
    """A graph in the making. Node names are paths of the open scopes."""

    def __init__(self, name: str) -> None:
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name)
        self._scopes: list[str] = []
        self._used_names: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of the nodes made inside."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str]) -> ir.Value:
        """Declare a graph input; `str` dimensions are symbolic."""
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(list(shape)))
        self.graph.inputs.append(value)
        return value

    def output(
        self, value: ir.Value, name: str, dtype: ir.DataType, shape: Sequence[int | str]
    ) -> None:
        """Make a value a graph output of that name."""
        value.name = name
        value.type = ir.TensorType(dtype)
        value.shape = ir.Shape(list(shape))
        self.graph.outputs.append(value)

    def weight(self, name: str, shape: Sequence[int], read: _Read) -> ir.Value:
        """Declare a float32 initializer; `read` gives its values when the model is saved.

        Saving raises InputError where finite values of the source give none: a norm that overflows,
        a direction of length 0. PyTorch would go on with infinities, zeros or NaN.
        """
        if name in self.graph.initializers:
            return self.graph.initializers[name]

        def load() -> ir.TensorProtocol:
            try:
                with np.errstate(over="raise", divide="raise", invalid="raise"):
                    values = np.ascontiguousarray(read(), dtype=np.float32)
            except FloatingPointError as error:
                raise InputError(
                    f"{name}: what it is made of gives no finite weight ({error}): copy the "
                    "checkpoint, or train it, again"
                ) from error
            if values.shape != tuple(shape):
                raise ValueError(f"{name}: read {values.shape}, declared {tuple(shape)}")
            return ir.Tensor(values, name=name)

        tensor = ir.LazyTensor(
            load, dtype=ir.DataType.FLOAT, shape=ir.Shape(list(shape)), name=name, cache=False
        )
        return self._initializer(name, tensor)

    def constant(self, values: Array, name: str) -> ir.Value:
        """A small constant; equal constants become one initializer."""
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            unique = self._unique(f"const/{name}")
            self._constants[key] = self._initializer(unique, ir.Tensor(values, name=unique))
        return self._constants[key]

    def ints(self, *values: int) -> ir.Value:
        """A rank-1 int64 constant."""
        return self.constant(np.array(values, np.int64), "x".join(map(str, values)) or "empty")

    def scalar(self, value: float) -> ir.Value:
        """A rank-0 float32 constant."""
        return self.constant(np.array(value, np.float32), f"{value:g}")

    def op(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Append a node with one output and return it."""
        return self.ops(op_type, *inputs, name=name, attributes=attributes)[0]

    def ops(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        n_outputs: int = 1,
    ) -> Sequence[ir.Value]:
        """Append a node and return its outputs."""
        path = self._unique("/".join([*self._scopes, name or op_type]))
        node = ir.Node(
            "",
            op_type,
            inputs,
            ir.convenience.convert_attributes(attributes or {}),
            num_outputs=n_outputs,
            name=path,
        )
        for index, value in enumerate(node.outputs):
            value.name = f"{path}.out" if n_outputs == 1 else f"{path}.out{index}"
        self.graph.append(node)
        return node.outputs

    def finish(self, metadata: Mapping[str, str]) -> ir.Model:
        """The model, with the type and shape of every value inferred.

        Raises ValueError when a value's type could not be inferred: the graph is wrong.
        """
        model = ir.Model(self.graph, ir_version=IR_VERSION, producer_name="vampnet-workbench")
        model.metadata_props.update(metadata)
        infer(model)
        for node in self.graph:
            for value in node.outputs:
                if value.dtype is None:
                    raise ValueError(f"{node.name}: no type could be inferred for {value.name}")
        return model

    def _initializer(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(
            name=name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        return value

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self._used_names:
            count += 1
            unique = f"{name}_{count}"
        self._used_names.add(unique)
        return unique
