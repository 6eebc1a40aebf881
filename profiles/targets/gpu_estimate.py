"""What a model would take on a CUDA GPU that is not here: a roofline range, never a measurement."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from profiles.count.examine import Examined

_EFFICIENCY = (0.1, 0.7)
_LAUNCH_S = (2e-6, 10e-6)

ASSUMPTIONS = (
    "each node takes the longer of FLOPs over peak and bytes over memory bandwidth, and a kernel "
    f"launch of {_LAUNCH_S[0] * 1e6:.0f} to {_LAUNCH_S[1] * 1e6:.0f} µs",
    f"a whole model reaches {_EFFICIENCY[0]:.0%} to {_EFFICIENCY[1]:.0%} of that bound; neither "
    "figure was fitted on a GPU",
    "FP16 products use tensor cores; INT8 QDQ products run in FP32",
    "inputs and outputs are on the device; published peaks at boost clock",
)


@dataclass(frozen=True)
class Gpu:
    """Published dense peaks; `fp16_tflops` with tensor cores."""

    name: str
    fp32_tflops: float
    fp16_tflops: float
    memory_gb_per_s: float
    source: str


GPUS = (
    Gpu("NVIDIA T4", 8.14, 65.13, 320.0, "hmc-tech.com and sysrqmts.com, read in November 2026"),
    Gpu("NVIDIA A100", 19.49, 311.87, 1555.0, "hmc-tech.com and sysrqmts.com, read in Nov 2026"),
)


@dataclass(frozen=True)
class GpuEstimate:
    """A range of times on one GPU."""

    device: str
    low_s: float
    high_s: float
    source: str
    kind: Literal["estimate"] = "estimate"

    def as_json(self) -> dict[str, Any]:
        """The record of results.json."""
        return asdict(self)


def estimate_gpu(examined: Examined, gpu: Gpu) -> GpuEstimate:
    """The range of one run at the examined input shapes."""
    bound_s = launches = 0.0
    for node in examined.cost.nodes:
        peak = gpu.fp16_tflops if node.precision == "float16" else gpu.fp32_tflops
        bound_s += max(node.flops / (peak * 1e12), node.bytes / (gpu.memory_gb_per_s * 1e9))
        launches += node.bytes > 0
    return GpuEstimate(
        device=gpu.name,
        low_s=bound_s / _EFFICIENCY[1] + launches * _LAUNCH_S[0],
        high_s=bound_s / _EFFICIENCY[0] + launches * _LAUNCH_S[1],
        source=gpu.source,
    )
