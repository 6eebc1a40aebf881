"""iPhones, on CoreML: float16 in ONNX's own operators."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.count.examine import Examined
from profiles.count.packaging import StoreLimit
from profiles.targets.contract import Target
from profiles.targets.mobile import MOBILE
from vampnet_models.records.manifest import TelemetrySwitch
from vampnet_models.records.profiles import RuntimeCoverage
from vampnet_models.telemetry import VARIABLE

_FUSED_OPERATORS = frozenset({"MultiHeadAttention", "SimplifiedLayerNormalization"})
"""ONNX Runtime's own operators that only its CPU and CUDA providers have."""


def _notes(examined: Examined, covered: Mapping[str, RuntimeCoverage]) -> tuple[str, ...]:
    """What CoreML refuses of INT8 and of fused operators, and the recipe that it takes."""
    notes = []
    coreml = covered["coreml-mlprogram"]
    if examined.cost.flops_by("precision").get("int8", 0) and coreml.flops_share < 1:
        notes.append("CoreML has no path for INT8 operators: ship coreml-fp16 on iOS")
    fused = {r.op_type for r in coreml.refusals} & _FUSED_OPERATORS
    if fused:
        notes.append(
            f"CoreML refuses {', '.join(sorted(fused))}: {coreml.partitions} parts, "
            f"{coreml.flops_share:.0%} of the FLOPs; coreml-fp16 keeps to operators that it takes"
        )
    return tuple(notes)


IOS = Target(
    name="ios",
    provider="CoreMLExecutionProvider",
    telemetry=TelemetrySwitch(
        "setenv",
        "first ORTEnv",
        f'call setenv("{VARIABLE}", "1", 1) in main, before the first ORTEnv; macOS apps do the '
        "same",
    ),
    profiler=MOBILE,
    why="FP16: CoreML has no QDQ path",
    own_recipes=("coreml-fp16",),
    recipes=("coreml-fp16",),
    instead=("fp16", "fused"),
    takes_ort=True,
    stores=(StoreLimit("Apple App Store", "app", 4_000_000_000),),
    runtimes=("coreml-mlprogram", "coreml-neuralnetwork"),
    notes=_notes,
)
