"""Spellings of the same model that a reader would take for another: brought to the usual one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import onnx

from vampnet_models.onnxfile.operators import MICROSOFT

_SPELLED_OUT = "ai.onnx"
"""The default domain by its full name."""

_IMPLIED_DOMAINS = {MICROSOFT: 1, "com.microsoft.nchwc": 1, "ai.onnx.ml": 5}
"""Whose operators ONNX Runtime takes without an import, in these versions: tools leave it out."""


def to_normal_form(model: onnx.ModelProto) -> None:
    """In place: the default domain is the empty one, the runtime's own are imported where they are
    used, and sparse constants are dense.

    How large sparse tensors become was checked with the header. Raises ValueError where the domain
    is imported in two versions, or a sparse tensor is damaged.
    """
    for owner, nodes in ((model, model.graph.node), *((f, f.node) for f in model.functions)):
        _one_import(owner)
        used: set[str] = set()
        _nodes(nodes, used)
        imported = {each.domain for each in owner.opset_import}
        for domain in sorted(used & _IMPLIED_DOMAINS.keys() - imported):
            owner.opset_import.append(onnx.helper.make_opsetid(domain, _IMPLIED_DOMAINS[domain]))
    _graph(model.graph)


def _one_import(owner: onnx.ModelProto | onnx.FunctionProto) -> None:
    versions = {each.version for each in owner.opset_import if each.domain in ("", _SPELLED_OUT)}
    if len(versions) > 1:
        raise ValueError(f"it imports ONNX's operators in versions {sorted(versions)} at once")
    if any(each.domain == _SPELLED_OUT for each in owner.opset_import):
        others = [each for each in owner.opset_import if each.domain not in ("", _SPELLED_OUT)]
        kept = [onnx.helper.make_opsetid(each.domain, each.version) for each in others]
        del owner.opset_import[:]
        owner.opset_import.extend([onnx.helper.make_opsetid("", versions.pop()), *kept])


def _graph(graph: onnx.GraphProto) -> None:
    for sparse in graph.sparse_initializer:
        graph.initializer.append(_dense(sparse))
    del graph.sparse_initializer[:]


def _nodes(nodes: Iterable[onnx.NodeProto], used: set[str]) -> None:
    """Bring nodes and those of their bodies to the form; `used` receives their domains."""
    for node in nodes:
        if node.domain == _SPELLED_OUT:
            node.domain = ""
        used.add(node.domain)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.SPARSE_TENSOR and node.op_type == "Constant":
                dense = _dense(attribute.sparse_tensor)
                attribute.Clear()
                attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
                attribute.t.CopyFrom(dense)
            for body in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                _graph(body)
                _nodes(body.node, used)


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """The tensor with its zeros. Raises ValueError."""
    name, dims = sparse.values.name, tuple(sparse.dims)
    values = onnx.numpy_helper.to_array(sparse.values).reshape(-1)
    places = onnx.numpy_helper.to_array(sparse.indices)
    flat = places.reshape(-1)
    if places.ndim == 2:
        if places.shape[1] != len(dims):
            raise ValueError(f"the indices of its sparse tensor {name} are not of its rank")
        flat = np.ravel_multi_index(tuple(places.T), dims).astype(np.int64).reshape(-1)
    n_elements = math.prod(dims)
    if flat.shape != values.shape or (flat.size and not 0 <= flat.min() <= flat.max() < n_elements):
        raise ValueError(f"its sparse tensor {name} has indices outside of {list(dims)}")
    dense = np.zeros(n_elements, values.dtype)
    dense[flat] = values
    return onnx.numpy_helper.from_array(dense.reshape(dims), name)
