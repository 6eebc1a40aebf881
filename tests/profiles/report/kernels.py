"""Kernel times for the realistic results: a source, its variants, and this machine's peaks."""

from __future__ import annotations

from typing import Any

PEAKS = {
    "threads": 2,
    "fp32_flops_per_s": 100e9,
    "int8_ops_per_s": 400e9,
    "copy_bytes_per_s": 10e9,
}


def row(name: str, seconds: float, whole_s: float, flops: float, integer: float = 0.0) -> Any:
    """A row of a stack; 1 byte moved per 100 FLOPs."""
    return {
        "name": name,
        "calls": 4,
        "seconds": seconds,
        "share": seconds / whole_s,
        "flops": int(flops),
        "integer_flops": int(integer),
        "bytes": int(flops / 100),
        "flops_per_s": flops / seconds,
    }


def with_kernels(profile: dict[str, Any], *, integer: bool = False) -> None:
    """Add the operators, peaks and roofline of a measured profile, in place."""
    whole_s = 0.9 * profile["median_s"]
    product = "MatMulIntegerToFloat" if integer else "MatMul"
    flops = 50e9 * whole_s
    operators = [row(product, 0.6 * whole_s, whole_s, flops, flops if integer else 0.0)]
    operators += [row(f"Op<{i}>", 0.04 * whole_s, whole_s, 1e6) for i in range(10)]
    profile |= {
        "flops_per_s": flops / profile["median_s"],
        "operator_times": {
            "runs": 7,
            "kernels_s": 1.2 * whole_s,
            "outside_s": 0.1 * profile["median_s"],
            "by_operator": operators,
            "by_block": [row(f"layers.{i}", whole_s / 2, whole_s, flops / 2) for i in range(2)],
            "by_node": [row(f"{product} layers.{i}/q", whole_s / 4, whole_s, 1e6) for i in (0, 1)],
        },
        "peaks": PEAKS,
        "roofline": {
            "floor_s": 0.4 * profile["median_s"],
            "per_node_s": 0.6 * profile["median_s"],
            "measured_s": profile["median_s"],
            "memory_bound_share": 0.25,
            "flops_per_byte": 31.0,
            "efficiency": 0.4,
            "warnings": [],
        },
    }
