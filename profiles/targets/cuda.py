"""CUDA: measured where the provider exists, else said to be not measured, with operator facts."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace

import onnx_ir as ir

from profiles.count.cost import integer_units
from profiles.count.coverage import coverage
from profiles.count.examine import Examined
from profiles.measure.measure import measure
from profiles.targets.contract import Profiler, Request, Target
from profiles.targets.cpu import CPU
from profiles.targets.examined import examine_each, with_derived
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.operators import DEFAULT_DOMAINS, MICROSOFT
from vampnet_models.records.profiles import (
    DeviceEstimate,
    Failure,
    Measurement,
    NotMeasured,
    Profile,
    RuntimeCoverage,
    measured_on,
)
from vampnet_models.shapes.tensor_shapes import Shapes

_STANDARD = frozenset(
    {
        *("Abs", "Add", "And", "ArgMax", "ArgMin", "Attention", "AveragePool"),
        *("BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "Conv"),
        *("ConvTranspose", "Cos", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout"),
        *("Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor"),
        *("Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool"),
        *("GlobalMaxPool", "Greater", "GreaterOrEqual", "GridSample", "GRU", "HardSigmoid"),
        *("HardSwish", "Identity", "If", "InstanceNormalization", "LayerNormalization"),
        *("LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "Loop", "LRN", "LSTM"),
        *("MatMul", "MatMulInteger", "Max", "MaxPool", "Min", "Mod", "Mul", "Neg", "NonZero"),
        *("Not", "OneHot", "Or", "Pad", "Pow", "PRelu", "QuantizeLinear", "Range", "Reciprocal"),
        *("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
        *("ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "RMSNormalization"),
        *("RNN", "Round", "Scan", "ScatterElements", "ScatterND", "Selu", "Shape", "Shrink"),
        *("Sigmoid", "Sign", "SimplifiedLayerNormalization", "Sin", "Size", "Slice", "Softmax"),
        *("Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh"),
        *("ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor"),
        *("Compress", "IsInf", "IsNaN", "ReduceLogSum", "ReduceLogSumExp", "ReverseSequence"),
        *("RoiAlign", "RotaryEmbedding", "Softsign", "TensorScatter"),
    }
)
_CONTRIB = frozenset(
    {
        *("Attention", "BiasGelu", "BiasSoftmax", "DequantizeLinear", "FastGelu", "FusedConv"),
        *("FusedMatMul", "GatherBlockQuantized", "Gelu", "MatMulNBits", "MultiHeadAttention"),
        *("QAttention", "QuantizeLinear", "QuickGelu", "RelativePositionBias"),
        *("RotaryEmbedding", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
        *("TransposeMatMul", "Trilu"),
    }
)
"""Operators with CUDA kernels, from ONNX Runtime's docs/OperatorKernels.md (the text of main, read
in November 2026); the rest of a graph runs on the CPU with copies in between."""

_INPUT_TYPES = {
    "DequantizeLinear": {"INT8", "UINT8", "INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2"},
    "MatMulInteger": {"INT8"},
    "Pad": {"BOOL", "DOUBLE", "FLOAT", "FLOAT16"},
}
"""Types of the first input, by the same table, of operators that have few."""

_PROVIDER = "CUDAExecutionProvider"

_QUERY = ("name", "driver_version", "clocks.sm", "clocks.mem", "memory.used", "memory.total")

# What a model would take on a GPU that is not here is a roofline range, never a measurement: the
# ends below are what is usual for inference, wide enough that no figure pretends to be a timing.
_EFFICIENCY = (0.1, 0.7)
_LAUNCH_S = (2e-6, 10e-6)

_ASSUMPTIONS = (
    "each node takes the longer of FLOPs over peak and bytes over memory bandwidth, and a kernel "
    f"launch of {_LAUNCH_S[0] * 1e6:.0f} to {_LAUNCH_S[1] * 1e6:.0f} µs",
    f"a whole model reaches {_EFFICIENCY[0]:.0%} to {_EFFICIENCY[1]:.0%} of that bound; neither "
    "figure was fitted on a GPU",
    "FP16 products use tensor cores; INT8 QDQ products run in FP32",
    "inputs and outputs are on the device; published peaks at boost clock",
)


@dataclass(frozen=True)
class _Gpu:
    """Published dense peaks; `fp16_tflops` with tensor cores."""

    name: str
    fp32_tflops: float
    fp16_tflops: float
    memory_gb_per_s: float
    source: str


_GPUS = (
    _Gpu("NVIDIA T4", 8.14, 65.13, 320.0, "hmc-tech.com and sysrqmts.com, read in November 2026"),
    _Gpu("NVIDIA A100", 19.49, 311.87, 1555.0, "hmc-tech.com and sysrqmts.com, read in Nov 2026"),
)


def _unavailable() -> str | None:
    """Why CUDA cannot be measured here; None when the provider exists."""
    # Reports and overviews read this file's facts without a runtime.
    import onnxruntime as ort

    if _PROVIDER in ort.get_available_providers():
        return None
    return (
        f"this onnxruntime {ort.__version__} has no {_PROVIDER}; run, on a CUDA "
        "machine: make env-cuda, then .venv-cuda/bin/vampbench profile MODELS --target cuda"
    )


def _profile(request: Request) -> dict[str, Profile]:
    """Time the variants where there is CUDA, else say why not, with estimates."""
    reason = _unavailable()
    if reason is not None:
        return examine_each(request, lambda e: _not_measured(e, reason))
    examined: dict[str, Examined] = {}
    records: dict[str, Profile] = {}
    for recipe, path in request.variants.items():
        try:
            examined[recipe] = request.examined(path)
        except InputError as error:
            records[recipe] = Failure(request.place.name, str(error))
    try:
        return records | _measure(request, examined)
    except InputError as error:
        # The provider is installed but its device or libraries are not there.
        why = f"no CUDA device can be used here: {error}"
        return records | {r: _not_measured(e, why) for r, e in examined.items()}


def _measure(request: Request, examined: dict[str, Examined]) -> dict[str, Profile]:
    """Time the models by I/O binding on device 0, then once more with host copies.

    Raises InputError when the provider exists but cannot run even an identity model.
    """
    models = [(recipe, request.variants[recipe]) for recipe in examined]
    feeds, place, plan, tell = request.feeds_path, request.place, request.plan, request.tell
    bound = measure(models, feeds, place, plan=plan, bind="cuda", progress=tell)
    copied = measure(models, feeds, place, plan=plan, progress=tell)
    device = device_facts()
    records: dict[str, Profile] = {}
    for name, record in bound.items():
        if isinstance(record, Measurement):
            beside = measured_on(copied, name)
            record = replace(
                with_derived(request, examined[name], record),
                device=device,
                notes=_cuda_notes(examined[name], _cuda_coverage(examined[name])),
                with_copies_median_s=None if beside is None else beside.median_s,
                with_copies_samples_s=None if beside is None else beside.samples_s,
            )
        records[name] = record
    return records


def _not_measured(examined: Examined, reason: str) -> NotMeasured:
    """The record of a variant where there is no CUDA."""
    covered = _cuda_coverage(examined)
    return NotMeasured(
        reason=reason,
        bytes=examined.bytes,
        operators=covered,
        notes=_cuda_notes(examined, covered),
        estimates=tuple(_estimate_gpu(examined, gpu) for gpu in _GPUS),
        assumptions=_ASSUMPTIONS,
    )


def _estimate_gpu(examined: Examined, gpu: _Gpu) -> DeviceEstimate:
    """The range of one run at the examined input shapes."""
    bound_s = launches = 0.0
    for node in examined.cost.nodes:
        peak = gpu.fp16_tflops if node.precision == "float16" else gpu.fp32_tflops
        bound_s += max(node.flops / (peak * 1e12), node.bytes / (gpu.memory_gb_per_s * 1e9))
        launches += node.bytes > 0
    return DeviceEstimate(
        device=gpu.name,
        low_s=bound_s / _EFFICIENCY[1] + launches * _LAUNCH_S[0],
        high_s=bound_s / _EFFICIENCY[0] + launches * _LAUNCH_S[1],
        source=gpu.source,
    )


def _cuda_coverage(examined: Examined) -> RuntimeCoverage:
    """Which nodes have CUDA kernels in the form that they have in this graph."""
    return coverage(examined, "cuda", _supports)


def _cuda_notes(examined: Examined, covered: RuntimeCoverage) -> tuple[str, ...]:
    """What the form of this variant means on CUDA, a sentence each."""
    notes = []
    units = [n for n in integer_units(examined.model.graph) if not n.op_type.endswith("Linear")]
    if units:
        notes.append(
            f"{len(units)} INT8 QDQ operators have no integer kernels on CUDA (no QLinearConv, "
            "QLinearMatMul or QGemm): they run in float between QuantizeLinear and "
            "DequantizeLinear, slower than the float model; use fp16 or weight-only there"
        )
    if covered.refusals:
        names = ", ".join(sorted({r.op_type for r in covered.refusals}))
        lost = 1 - covered.flops_share
        notes.append(
            "nodes on the CPU, with a copy to and from the device at each border: "
            f"{covered.nodes - covered.supported} ({names}; {lost:.0%} of the FLOPs)"
        )
    return tuple(notes)


def device_facts() -> dict[str, str]:
    """The GPU's name, driver, clocks and memory by nvidia-smi; empty where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    command = [tool, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return _parse_facts(done.stdout)


def _parse_facts(line: str) -> dict[str, str]:
    """Name the comma-separated values of one line of nvidia-smi."""
    values = [value.strip() for value in line.strip().split(",")]
    return dict(zip(_QUERY, values, strict=False))


def _supports(node: ir.Node, shapes: Shapes) -> str | None:
    taken = _INPUT_TYPES.get(node.op_type)
    if taken is not None and node.inputs[0] is not None:
        first = shapes.tensors.get(node.inputs[0].name or "")
        if first is not None and first.dtype.name not in taken:
            return f"no CUDA kernel for {first.dtype.name.lower()}"
    if node.domain in DEFAULT_DOMAINS:
        return None if node.op_type in _STANDARD else "no CUDA kernel"
    if node.domain == MICROSOFT:
        return None if node.op_type in _CONTRIB else "no CUDA kernel"
    return f"no CUDA kernel for the domain {node.domain}"


CUDA = Target(
    name="cuda",
    provider=_PROVIDER,
    telemetry=CPU.telemetry,
    profiler=Profiler(
        name="cuda",
        title="CUDA",
        profile=_profile,
        remedy="run, on a machine with a CUDA device: make env-cuda, then "
        "vampbench profile MODEL... --target cuda",
        provider=_PROVIDER,
    ),
    checked_on=_PROVIDER,
    why="FP16: the CUDA provider has no INT8 QDQ kernels",
    recipes=("fp16", "fused"),
    multiplies_integers=False,
)
