"""A model for one length: fixed input shapes, every tensor's shape known, shape sums folded.

The compilers of phones' NPUs want it so; what a length alone decides (ranges, masks of positions,
padding) becomes a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, save_model
from vampnet_models.shapes.tensor_shapes import Shape, Shapes, infer_shapes


def fix_shapes(source: Path, inputs: Mapping[str, Shape], out: Path) -> Shapes:
    """Write `source` for these input shapes; the shapes of all its tensors.

    Raises InputError when an input has no shape or another rank or size than it declares, or when
    the file cannot be read or written.
    """
    if out.resolve() == source.resolve():
        raise InputError(f"{out}: is the input itself; choose another output")
    model = load_model(source)
    for value in model.graph.inputs:
        name = value.name or ""
        if name in model.graph.initializers:
            continue
        if name not in inputs:
            raise InputError(f"{source}: no shape was given for the input {name}")
        _check(source, value, inputs[name])
        value.shape = ir.Shape(inputs[name])
    shapes = infer_shapes(model, inputs)
    _write_shapes(model.graph, shapes)
    _fold(model.graph, shapes)
    RemoveUnusedNodesPass()(model)
    save_model(model, out)
    return shapes


def _check(source: Path, value: ir.Value, shape: Shape) -> None:
    declared = value.shape
    if declared is None:
        return
    fits = len(declared) == len(shape) and all(
        not isinstance(size, int) or size == given
        for size, given in zip(declared, shape, strict=True)
    )
    if not fits:
        raise InputError(f"{source}: the input {value.name} is {list(declared)}, not {list(shape)}")


def _write_shapes(graph: ir.Graph, shapes: Shapes) -> None:
    for node in graph:
        for value in node.outputs:
            known = shapes.tensors.get(value.name or "")
            value.shape = None if known is None else ir.Shape(known.shape)
            if known is not None:
                value.type = ir.TensorType(known.dtype)


def _fold(graph: ir.Graph, shapes: Shapes) -> None:
    """Replace values that no longer depend on an input by constants."""
    for node in list(graph):
        for value in node.outputs:
            known = shapes.tensors.get(value.name or "")
            if known is None or known.value is None or value.is_graph_output():
                continue
            if node.op_type == "Constant" or not value.uses():
                continue
            name = f"{value.name}.fixed"
            constant = ir.Value(
                name=name,
                type=ir.TensorType(known.dtype),
                shape=ir.Shape(known.shape),
                const_value=ir.Tensor(known.value, name=name),
            )
            graph.register_initializer(constant)
            value.replace_all_uses_with(constant)
