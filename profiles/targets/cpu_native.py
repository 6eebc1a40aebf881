"""Desktops and servers that get the operator library too: its processor's own products."""

from __future__ import annotations

from profiles.targets.contract import Target
from profiles.targets.cpu import CPU

_NATIVE_RECIPES = ("fused-native", "int8-static-native", "int8-dynamic-native", "bf16-native")

CPU_NATIVE = Target(
    name="cpu-native",
    provider=CPU.provider,
    telemetry=CPU.telemetry,
    profiler=CPU.profiler,
    why="with the operator library, which ships beside the models",
    own_recipes=_NATIVE_RECIPES,
    # What has no native form, or is smaller, goes beside it.
    recipes=(
        *_NATIVE_RECIPES,
        *("fused", "fp16", "bf16", "int8-static", "int8-dynamic", "int8-weights"),
        *("int4-weights", "int4-mixed"),
    ),
    takes_mixtures=True,
)
