"""A small model as protobuf, with what a test adds to it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper


def value(name: str, shape: list[int | str | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(*tensors: TensorProto) -> ModelProto:
    """y = x + w, with further initializers."""
    weight = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"], name="add")],
        "g",
        [value("x", ["n", 4])],
        [value("y", ["n", 4])],
        [weight, *tensors],
    )
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def external(location: str, **entries: object) -> TensorProto:
    """Four float32 values outside."""
    tensor = TensorProto(name="outer", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, given in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(given))
    return tensor


def with_function(made: ModelProto, tensor: TensorProto) -> None:
    """Add a function of the model's own that holds a tensor."""
    node = onnx.NodeProto(op_type="Constant", output=["b"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
    imports = [helper.make_opsetid("", 21)]
    made.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], imports))
