"""What the mobile runtimes take: operator tables, and the caveats that a graph can be checked for.

The NNAPI and CoreML tables are the ones that come with the installed onnxruntime
(`onnxruntime/tools/mobile_helpers`), so they are as new as it is. XNNPACK's is not in the wheel
and is written here, from the provider's documentation. The CPU provider's kernels are asked from
the runtime itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import onnx_ir as ir
from onnxruntime.capi import _pybind_state

from profiles.coverage import Supports
from vampnet_models.tensor_shapes import Shapes, Tensor

RUNTIMES = ("cpu", "xnnpack", "nnapi", "coreml-mlprogram", "coreml-neuralnetwork")

_TABLES = {
    "nnapi": "nnapi_supported_ops.md",
    "coreml-mlprogram": "coreml_supported_mlprogram_ops.md",
    "coreml-neuralnetwork": "coreml_supported_neuralnetwork_ops.md",
}

_XNNPACK = {
    "averagepool": "Only 2D Pool is supported.",
    "conv": "Only 2D Conv is supported. Weights and bias should be constant.",
    "convtranspose": "Only 2D ConvTranspose is supported. Weights and bias should be constant.",
    "gemm": "Input B should be constant.",
    "matmul": "Input B should be constant.",
    "maxpool": "Only 2D Pool is supported.",
    "qlinearconv": "Only 2D Conv is supported. Weights and bias should be constant.",
    "resize": "4D input.",
    "softmax": "",
}

_FLOATS = {
    "xnnpack": {ir.DataType.FLOAT},
    "nnapi": {ir.DataType.FLOAT},
    "coreml-mlprogram": {ir.DataType.FLOAT, ir.DataType.FLOAT16},
    "coreml-neuralnetwork": {ir.DataType.FLOAT},
}

_MAX_RANK = {"xnnpack": 4, "nnapi": 4, "coreml-mlprogram": 5, "coreml-neuralnetwork": 5}

_ANY_DTYPE = frozenset(
    {
        *("Cast", "Shape", "Gather", "Concat", "Slice", "Squeeze", "Unsqueeze", "Reshape"),
        *("Flatten", "Identity", "ArgMax", "QuantizeLinear", "DequantizeLinear", "QLinearConv"),
        *("QLinearMatMul", "QLinearAdd", "QLinearSigmoid"),
    }
)
"""Operators whose output need not be floating point on these runtimes."""

_WANTS_CONSTANTS = re.compile(r"(should|must) be (a )?constant")

_READ_QDQ = ("nnapi", "xnnpack")
"""Runtimes that read DequantizeLinear, operator, QuantizeLinear as one quantized operator."""

_EXPANDED = ("CastLike", "GroupNormalization", "MeanVarianceNormalization", "Mish", "Swish")
"""Operators without kernels that the runtime expands into operators that have them."""

_WEIGHTED = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1, "QLinearConv": 3}


def supports(runtime: str) -> Supports:
    """The question `coverage` asks about each node, for one of `RUNTIMES`."""
    if runtime == "cpu":
        return _cpu_supports
    table = operators(runtime)

    def answer(node: ir.Node, shapes: Shapes) -> str | None:
        return _caveat(node, shapes.tensors, runtime, table)

    return answer


@cache
def operators(runtime: str) -> Mapping[str, str]:
    """The operators that a runtime takes, in lower case, each with its note."""
    if runtime == "xnnpack":
        return _XNNPACK
    folder = resources.files("onnxruntime") / "tools" / "mobile_helpers"
    return parse_table((folder / _TABLES[runtime]).read_text(encoding="utf-8"))


def parse_table(text: str) -> dict[str, str]:
    """Rows `|domain:Operator|note|` of a Markdown table, contrib operators under their domain.

    Case and one dot in place of a colon differ within the tables; both are read alike.
    """
    found = {}
    for line in text.splitlines():
        match = re.match(r"\|(ai\.onnx|com\.microsoft)[:.](\w+)\|(.*)\|\s*$", line)
        if match:
            domain, name, note = match.groups()
            prefix = "" if domain == "ai.onnx" else f"{domain}:"
            found[prefix + name.lower()] = note.replace("<br/>", " ")
    return found


def _caveat(
    node: ir.Node, tensors: Mapping[str, Tensor], runtime: str, table: Mapping[str, str]
) -> str | None:
    """Why the runtime refuses the node, None when nothing that can be checked speaks against."""
    prefix = "" if node.domain in ("", "ai.onnx") else f"{node.domain}:"
    note = table.get(prefix + node.op_type.lower())
    if note is None:
        return f"{prefix}{node.op_type} is not in the runtime's table"
    outputs = [tensors[v.name] for v in node.outputs if v.name and v.name in tensors]
    if len(outputs) < sum(bool(v.name) for v in node.outputs):
        return "its shape is known only when it runs"
    if any(len(t.shape) > _MAX_RANK[runtime] for t in outputs):
        return f"more than {_MAX_RANK[runtime]} dimensions"
    if node.op_type in _WEIGHTED:
        refused = _weight_caveat(node, tensors, runtime, note)
        if refused:
            return refused
    elif _WANTS_CONSTANTS.search(note) and not all(map(_is_constant, node.inputs[1:])):
        return "an input is computed where only constants are taken"
    if node.op_type not in _ANY_DTYPE and outputs[0].dtype not in _FLOATS[runtime]:
        return f"{outputs[0].dtype.name.lower()} arithmetic"
    return None


def _weight_caveat(
    node: ir.Node, tensors: Mapping[str, Tensor], runtime: str, note: str
) -> str | None:
    index = _WEIGHTED[node.op_type]
    weight = node.inputs[index] if index < len(node.inputs) else None
    if weight is None:
        return "it has no weight"
    known = tensors.get(weight.name or "")
    if "Only 2D" in note and known is not None and len(known.shape) != 4:
        return f"a {len(known.shape) - 2}D convolution, only 2D is taken"
    if not _WANTS_CONSTANTS.search(note) or _is_constant(weight):
        return None
    producer = weight.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        if runtime in _READ_QDQ and _is_constant(producer.inputs[0]):
            return None
        return "its weight comes from DequantizeLinear, only constants are taken"
    return "its weight is computed, only constants are taken"


def _is_constant(value: ir.Value | None) -> bool:
    if value is None or value.is_initializer():
        return True
    producer = value.producer()
    return producer is not None and producer.op_type == "Constant"


@cache
def _cpu_kernels() -> frozenset[tuple[str, str]]:
    return frozenset((k.domain, k.op_name) for k in _pybind_state.get_all_opkernel_def())


def _cpu_supports(node: ir.Node, shapes: Shapes) -> str | None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if (domain, node.op_type) in _cpu_kernels():
        return None
    if domain == "" and node.op_type in _EXPANDED:
        return None
    return "no kernel in the CPU provider"
