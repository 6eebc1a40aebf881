"""Models as other exporters leave them, made of our own: baked lengths, and the split form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass
from onnxscript.optimizer import fold_constants

from vampnet_models.onnxfile.artifact import load_model, save_model

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "foreign"


def foreign(path: Path) -> ir.Model:
    """One of our models without the mark of our own."""
    model = load_model(path)
    model.metadata_props.clear()
    return model


def baked(path: Path, out: Path, frames: int, *, declared: bool = True) -> Path:
    """A transformer of ours for one length: its position bias and every Reshape are constants."""
    model = foreign(path)
    for value in model.graph.inputs:
        value.shape = ir.Shape([1, value.shape[1], frames])
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
    fold_constants(model, input_size_limit=1 << 22, output_size_limit=1 << 22)
    ShapeInferencePass()(model)
    for node in list(model.graph):
        if node.op_type == "Reshape":
            shape = np.array(node.outputs[0].shape.numpy(), np.int64)
            node.replace_input_with(1, constant(model.graph, f"{node.name}.baked", shape))
    RemoveUnusedNodesPass()(model)
    if not declared:
        for value in (*model.graph.inputs, *model.graph.outputs):
            sizes = ["time" if d == frames else d for d in value.shape]
            value.shape = ir.Shape(sizes)
    save_model(model, out)
    return out


def whole_mask(out: Path, frames: int, *, declared: bool) -> Path:
    """A c2f of tokens that takes as many masked positions as there are: an index assignment.

    Exporters write `output[:, 4:][mask[:, 4:]] = tokens[mask[:, 4:]]` as a list of places, whose
    number is that of the example.
    """
    numbers = {
        "given": [4],
        "end": [14],
        "start": [0],
        "axis": [1],
        "shape": [1, 10, frames if declared else -1],
    }
    nodes = [
        helper.make_node("Slice", ["mask", "given", "end", "axis"], ["generated"]),
        helper.make_node("NonZero", ["generated"], ["places"]),
        helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        helper.make_node("Slice", ["codes", "given", "end", "axis"], ["fine"]),
        helper.make_node("GatherND", ["fine", "rows"], ["tokens"]),
        helper.make_node("Reshape", ["tokens", "shape"], ["placed"]),
        helper.make_node("Slice", ["codes", "start", "given", "axis"], ["coarse"]),
        helper.make_node("Concat", ["coarse", "placed"], ["output"], axis=1),
    ]
    time = frames if declared else "time"
    values = [
        helper.make_tensor_value_info(name, kind, [1, 14, time])
        for name, kind in (
            ("codes", onnx.TensorProto.INT64),
            ("mask", onnx.TensorProto.BOOL),
            ("output", onnx.TensorProto.INT64),
        )
    ]
    tensors = [onnx.numpy_helper.from_array(np.array(v, np.int64), k) for k, v in numbers.items()]
    graph = helper.make_graph(nodes, "c2f", values[:2], values[2:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, out)
    return out


def constant(graph: ir.Graph, name: str, values: np.ndarray) -> ir.Value:
    tensor = ir.Tensor(values, name=name)
    value = ir.Value(
        name=name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(values.shape),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def split_form(models: Path, out: Path) -> Path:
    """The codec and the coarse model of a folder, cut into the pieces of the split form."""
    features = ("batch", None, "time")
    encoder = foreign(models / "codec_encoder.onnx")
    first = next(n for n in encoder.graph if n.name == "quantizer.quantizers.0.in_proj/Conv")
    latent = first.inputs[0].name
    _cut(models / "codec_encoder.onnx", out / "lac_encoder.onnx", {}, {latent: "encoded_features"})
    _cut(
        models / "codec_encoder.onnx",
        out / "lac_quantizer.onnx",
        {latent: ("continuous_features", features)},
        {"quantizer.quantizers.0.out_proj/Conv.out": "quantized_z", "codes": "1234"},
    )
    decoder = foreign(models / "codec_decoder.onnx")
    conv = next(n for n in decoder.graph if n.name == "decoder.model.0/Conv")
    summed = conv.inputs[0].name
    names = {summed: "quantized_features"}
    _cut(models / "codec_decoder.onnx", out / "lac_from_codes.onnx", {}, names)
    _cut(
        models / "codec_decoder.onnx",
        out / "lac_decoder.onnx",
        {summed: ("encoded_features", features)},
        {"audio": "reconstructed_audio"},
    )
    latents = "embedding/Transpose.out"
    _cut(
        models / "coarse.onnx",
        out / "coarse_embeddings.onnx",
        {"embedding/Where.out": ("codes", ("batch", 4, "time"))},
        {latents: "latents"},
    )
    _cut(
        models / "coarse.onnx",
        out / "coarse_transformer.onnx",
        {latents: ("latents", ("batch", 32, "time"))},
        {"logits": "logits"},
        flat=True,
    )
    return out


def _cut(path: Path, out: Path, inputs: dict, outputs: dict, flat: bool = False) -> None:
    model = foreign(path)
    graph = model.graph
    values = {v.name: v for n in graph for v in n.outputs} | {v.name: v for v in graph.inputs}
    found = [values[name] for name in outputs]
    for name, (new, shape) in inputs.items():
        old = values[name]
        sizes = [o if s is None else s for s, o in zip(shape, old.shape, strict=True)]
        made = ir.Value(name=f"{new}.input", type=old.type, shape=ir.Shape(sizes))
        for node, index in list(old.uses()):
            node.replace_input_with(index, made)
        for node in list(values["codes"].consumers()) if flat else []:
            if node.op_type == "Shape":
                node.replace_input_with(0, made)
        inputs[name] = made
    if inputs:
        graph.inputs[:] = list(inputs.values())
    if flat:
        turned = ir.Node(
            "", "Transpose", found, ir.convenience.convert_attributes({"perm": [0, 3, 2, 1]})
        )
        target = constant(graph, "flat_shape", np.array([0, 0, -1], np.int64))
        flattened = ir.Node("", "Reshape", [turned.outputs[0], target])
        graph.extend([turned, flattened])
        flattened.outputs[0].type = found[0].type
        flattened.outputs[0].shape = ir.Shape(["batch", 1024, "time"])
        turned.outputs[0].name = "turned"
        found[0].name = "by_codebook"
        found = [flattened.outputs[0]]
    graph.outputs[:] = found
    RemoveUnusedNodesPass()(model)
    for value in graph.inputs:
        value.name = {"audio": "audio_waveform"}.get(value.name, value.name.removesuffix(".input"))
    for value, new in zip(found, outputs.values(), strict=True):
        value.name = new
    save_model(model, out)
