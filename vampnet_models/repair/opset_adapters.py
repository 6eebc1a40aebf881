"""What a node of an older opset becomes in a newer one, where a new number alone would change it.

Every other operator that ONNX versions anew takes more types or gets an attribute whose default is
what it did before. One function per change; each works in any graph, a body's too, since what it
adds are nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_Adapter = Callable[[ir.Node], None]
"""Changes a node in place. Raises CannotRaise."""


class CannotRaise(Exception):
    """A node that no newer opset expresses; the message is the reason."""


def _constant(node: ir.Node, label: str, values: NDArray[Any]) -> ir.Value:
    """A Constant in front of `node`."""
    made = _before(node, "Constant", (), label, value=ir.Tensor(values))
    made.type, made.shape = (
        ir.TensorType(ir.DataType.from_numpy(values.dtype)),
        ir.Shape(values.shape),
    )
    return made


def _before(
    node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], label: str, **attributes: Any
) -> ir.Value:
    """The output of a new node in front of `node`."""
    where = node.graph
    assert where is not None, "nodes that are adapted are in a graph"
    converted = ir.convenience.convert_attributes(attributes)
    new = ir.Node("", op_type, inputs, converted, name=f"{node.name}/{label}")
    new.outputs[0].name = f"{node.outputs[0].name}/{label}"
    where.insert_before(node, new)
    return new.outputs[0]


def _set_input(node: ir.Node, index: int, value: ir.Value | None) -> None:
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)


def _ints_to_input(name: str, index: int) -> _Adapter:
    """An attribute of integers that became an input; nothing where it is not given."""

    def adapt(node: ir.Node) -> None:
        attribute = node.attributes.pop(name, None)
        if attribute is not None:
            _set_input(node, index, _constant(node, name, np.array(attribute.as_ints(), np.int64)))

    return adapt


def _slice(node: ir.Node) -> None:
    for index, name in enumerate(("starts", "ends", "axes"), 1):
        _ints_to_input(name, index)(node)


def _top_k(node: ir.Node) -> None:
    k = node.attributes.pop("k", None)
    if k is None:
        raise CannotRaise("it has no k")
    _set_input(node, 1, _constant(node, "k", np.array([k.as_int()], np.int64)))


def _bound(node: ir.Node, name: str, value: float) -> ir.Value:
    """A scalar of the type of the node's first input, whether that is known or not."""
    source = node.inputs[0]
    if source is not None and source.dtype is not None:
        return _constant(node, name, np.array(value, source.dtype.numpy()))
    single = _constant(node, name, np.array(value, np.float32))
    return _before(node, "CastLike", (single, source), f"{name}_cast")


def _clip(node: ir.Node) -> None:
    for index, name in ((1, "min"), (2, "max")):
        given = node.attributes.pop(name, None)
        if given is not None:
            _set_input(node, index, _bound(node, name, given.as_float()))


def _pad(node: ir.Node) -> None:
    _ints_to_input("pads", 1)(node)
    given = node.attributes.pop("value", None)
    if given is not None:
        _set_input(node, 2, _bound(node, "value", given.as_float()))


def _upsample(node: ir.Node) -> None:
    """To Resize of opset 10, from which the next adapter goes on."""
    scales = node.attributes.pop("scales", None)
    if scales is not None:
        _set_input(node, 1, _constant(node, "scales", np.array(scales.as_floats(), np.float32)))
    elif len(node.inputs) < 2:
        raise CannotRaise("it has no scales")
    node.op_type = "Resize"


def _resize_10(node: ir.Node) -> None:
    """It took a coordinate of the output times the scale, rounded down."""
    scales = node.inputs[1]
    node.resize_inputs(3)
    node.replace_input_with(1, None)
    node.replace_input_with(2, scales)
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    node.attributes.add(ir.AttrString("nearest_mode", "floor"))


def _resize_13(node: ir.Node) -> None:
    mode = node.attributes.get("coordinate_transformation_mode")
    if mode is not None and mode.as_string() == "tf_half_pixel_for_nn":
        raise CannotRaise("its coordinates are tf_half_pixel_for_nn, which opset 13 dropped")
    # An empty tensor stood for an input that is not given; the others decide.
    for index in (1, 2):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None and value.const_value is not None and value.const_value.size == 0:
            node.replace_input_with(index, None)


def _scatter(node: ir.Node) -> None:
    node.op_type = "ScatterElements"


def _one_output(node: ir.Node, what: str) -> None:
    """Drop the further outputs. Raises CannotRaise where one of them is read."""
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise CannotRaise(what)
    node.resize_outputs(1)


def _batch_normalization(node: ir.Node) -> None:
    spatial = node.attributes.pop("spatial", None)
    if spatial is not None and spatial.as_int() != 1:
        raise CannotRaise("it normalises each position apart (spatial = 0)")
    _one_output(node, "its statistics of training are read")


def _dropout(node: ir.Node) -> None:
    node.attributes.pop("ratio", None)
    _one_output(node, "its mask is read as a float")


def _dropout_10(node: ir.Node) -> None:
    # Inference keeps every element: the ratio says nothing.
    node.attributes.pop("ratio", None)


def _scan(node: ir.Node) -> None:
    raise CannotRaise("Scan of opset 8 has an axis for the batch that later ones do not have")


def _over_the_rest(node: ir.Node) -> None:
    """Softmax and its kin took all axes from `axis` on as one; since 13 they take `axis` alone."""
    attribute = node.attributes.pop("axis", None)
    axis = 1 if attribute is None else attribute.as_int()
    source, out = node.inputs[0], node.outputs[0]
    if source is None:
        raise CannotRaise("it has no input")
    rank = None if source.shape is None else len(source.shape)
    node.attributes.add(ir.AttrInt64("axis", -1))
    if axis == -1 or (rank is not None and axis == rank - 1):
        return
    shape = _before(node, "Shape", (source,), "shape")
    flat = _before(node, "Flatten", (source,), "flat", axis=axis)
    rows = _before(node, node.op_type, (flat,), "rows", axis=-1)
    for value in (flat, rows):
        value.type = source.type
    # The node itself becomes what gives the shape back, so that its output stays what it was.
    node.op_type = "Reshape"
    node.attributes.clear()
    node.resize_inputs(2)
    node.replace_input_with(0, rows)
    node.replace_input_with(1, shape)
    out.type = out.type or source.type


def _split_18(node: ir.Node) -> None:
    if len(node.inputs) < 2 or node.inputs[1] is None:
        node.attributes.add(ir.AttrInt64("num_outputs", len(node.outputs)))


def _reduce(node: ir.Node) -> None:
    axes = node.attributes.get("axes")
    if axes is not None and not axes.as_ints():
        node.attributes.pop("axes")  # none named meant all
    _ints_to_input("axes", 1)(node)


def _roi_align(node: ir.Node) -> None:
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "output_half_pixel"))


def _grid_sample(node: ir.Node) -> None:
    mode = node.attributes.get("mode")
    names = {"bilinear": "linear", "bicubic": "cubic"}
    given = "bilinear" if mode is None else mode.as_string()
    node.attributes.add(ir.AttrString("mode", names.get(given, given)))


def _dft(node: ir.Node) -> None:
    axis = node.attributes.pop("axis", None)
    number = 1 if axis is None else axis.as_int()
    _set_input(node, 2, _constant(node, "axis", np.array(number, np.int64)))


def _group_normalization(node: ir.Node) -> None:
    """Scale and bias per group become those of the group's channels."""
    groups = node.attributes.get("num_groups")
    source = node.inputs[0]
    if groups is None or source is None:
        raise CannotRaise("it names no groups")
    shape = _before(node, "Shape", (source,), "channels", start=1, end=2)
    count = _constant(node, "groups", np.array([groups.as_int()], np.int64))
    per_group = _before(node, "Div", (shape, count), "per_group")
    one = _constant(node, "one", np.array([1], np.int64))
    times = _before(node, "Concat", (one, per_group), "times", axis=0)
    last = _constant(node, "last", np.array([1], np.int64))
    flat = _constant(node, "flat", np.array([-1], np.int64))
    for index, name in ((1, "scale"), (2, "bias")):
        column = _before(node, "Unsqueeze", (node.inputs[index], last), f"{name}_column")
        wide = _before(node, "Expand", (column, times), f"{name}_wide")
        node.replace_input_with(index, _before(node, "Reshape", (wide, flat), name))


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

ADAPTERS: dict[tuple[str, int], _Adapter] = {
    ("Scan", 9): _scan,
    ("BatchNormalization", 9): _batch_normalization,
    ("Slice", 10): _slice,
    ("TopK", 10): _top_k,
    ("Dropout", 10): _dropout,
    ("Upsample", 10): _upsample,
    ("Clip", 11): _clip,
    ("Pad", 11): _pad,
    ("Resize", 11): _resize_10,
    ("Scatter", 11): _scatter,
    ("Dropout", 12): _dropout_10,
    **{(name, 13): _over_the_rest for name in ("Softmax", "LogSoftmax", "Hardmax")},
    **{(name, 13): _ints_to_input("axes", 1) for name in ("Squeeze", "Unsqueeze")},
    ("ReduceSum", 13): _reduce,
    ("Split", 13): _ints_to_input("split", 1),
    ("Resize", 13): _resize_13,
    ("BatchNormalization", 14): _batch_normalization,
    ("RoiAlign", 16): _roi_align,
    ("Split", 18): _split_18,
    **{(f"Reduce{name}", 18): _reduce for name in _REDUCTIONS},
    ("GridSample", 20): _grid_sample,
    ("DFT", 20): _dft,
    ("GroupNormalization", 21): _group_normalization,
}
"""By operator and the first opset that has the new form."""
