"""What the mobile runtimes take: their published operator tables, asked node by node.

`source` says where each table comes from. What a table's notes mean for one node is in
`caveats`. The tables may lag behind the providers: they say what is promised, not all that runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources

import onnx_ir as ir

from profiles.count.caveats import caveat
from profiles.count.coverage import Supports
from vampnet_models.onnxfile.operators import DEFAULT_DOMAINS
from vampnet_models.shapes.tensor_shapes import Shapes, Tensor

RUNTIMES = ("cpu", "xnnpack", "nnapi", "coreml-mlprogram", "coreml-neuralnetwork")

_TABLES = {
    "nnapi": "nnapi_supported_ops.md",
    "coreml-mlprogram": "coreml_supported_mlprogram_ops.md",
    "coreml-neuralnetwork": "coreml_supported_neuralnetwork_ops.md",
}

_XNNPACK_PAGE = "https://onnxruntime.ai/docs/execution-providers/Xnnpack-ExecutionProvider.html"

_XNNPACK = {
    "averagepool": "Only 2D Pool is supported.",
    "conv": "Only 2D Conv is supported. Weights and bias should be constant.",
    "convtranspose": "Only 2D ConvTranspose is supported. Weights and bias should be constant.",
    "gemm": "Only 2D Op is supported",
    "matmul": "Only 2D Op is supported",
    "maxpool": "Only 2D Pool is supported.",
    "qlinearconv": "Only 2D Conv is supported. Weights and bias should be constant.",
    "resize": "2D/4D Resize in `Bilinear mode` are supported",
    "softmax": "only support opset 13 when AXIS is the last dimension",
    "com.microsoft:qlinearaveragepool": "Only 2D Pool is supported.",
    "com.microsoft:qlinearconvtranspose": "Only 2D ConvTranspose is supported.",
    "com.microsoft:qlinearsoftmax": "",
}
"""The page `_XNNPACK_PAGE`, read in November 2026: unchanged in its list since ONNX Runtime 1.14,
which it names. The kernels that the provider registers (`xnnpack_execution_provider.cc`) are the
same ones, in float32, int8 and uint8; products also want a constant second input. The
provider is in the Android and iOS packages, not in the wheels."""

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
        *("QLinearMatMul", "QLinearAdd", "QLinearSigmoid", "And"),
    }
)
"""Operators whose output need not be floating point on these runtimes."""

_EXPANDED = ("CastLike", "GroupNormalization", "MeanVarianceNormalization", "Mish", "Swish")
"""Operators without kernels that the runtime expands into operators that have them."""


def supports(runtime: str) -> Supports:
    """The question `coverage` asks about each node, for one of `RUNTIMES`."""
    if runtime == "cpu":
        return _cpu_supports
    table = operators(runtime)

    def answer(node: ir.Node, shapes: Shapes) -> str | None:
        return _refusal(node, shapes.tensors, runtime, table)

    return answer


def source(runtime: str) -> str:
    """Where the runtime's table comes from, with its version: a line for people."""
    version = metadata.version("onnxruntime")
    if runtime == "cpu":
        return f"the kernels that onnxruntime {version} itself lists"
    if runtime == "xnnpack":
        return f"{_XNNPACK_PAGE}, read in November 2026"
    return f"{_TABLES[runtime]} of onnxruntime {version}"


@cache
def operators(runtime: str) -> Mapping[str, str]:
    """The operators that a runtime takes, in lower case, each with its note."""
    if runtime == "xnnpack":
        return _XNNPACK
    folder = resources.files("onnxruntime") / "tools" / "mobile_helpers"
    return _parse_table((folder / _TABLES[runtime]).read_text(encoding="utf-8"))


def _parse_table(text: str) -> dict[str, str]:
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


def _refusal(
    node: ir.Node, tensors: Mapping[str, Tensor], runtime: str, table: Mapping[str, str]
) -> str | None:
    """Why the runtime refuses the node, None when nothing that can be checked speaks against."""
    prefix = "" if node.domain in DEFAULT_DOMAINS else f"{node.domain}:"
    note = table.get(prefix + node.op_type.lower())
    if note is None:
        return f"{prefix}{node.op_type} is not in the runtime's table"
    outputs = [tensors[v.name] for v in node.outputs if v.name and v.name in tensors]
    if len(outputs) < sum(bool(v.name) for v in node.outputs):
        return "its shape is known only when it runs"
    if any(len(t.shape) > _MAX_RANK[runtime] for t in outputs):
        return f"more than {_MAX_RANK[runtime]} dimensions"
    refused = caveat(node, tensors, runtime, note)
    if refused is not None:
        return refused
    if node.op_type not in _ANY_DTYPE and outputs[0].dtype not in _FLOATS[runtime]:
        return f"{outputs[0].dtype.name.lower()} arithmetic"
    return None


@cache
def _cpu_kernels() -> frozenset[tuple[str, str]]:
    # Reports and overviews read the targets' facts, which lie above this file, without a runtime.
    from onnxruntime.capi import _pybind_state

    return frozenset((k.domain, k.op_name) for k in _pybind_state.get_all_opkernel_def())


def _cpu_supports(node: ir.Node, shapes: Shapes) -> str | None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if (domain, node.op_type) in _cpu_kernels():
        return None
    if domain == "" and node.op_type in _EXPANDED:
        return None
    return "no kernel in the CPU provider"
