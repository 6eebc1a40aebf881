"""Recipes with settings of a user's own, each named by what differs from the default."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import onnx_ir as ir

from calibration.ranges.observers import OBSERVERS
from optimize.fusions.order import Form
from optimize.precision.fp16.convert import Float16
from optimize.precision.int8.dynamic import DynamicInt8
from optimize.precision.int8.static import StaticInt8
from optimize.precision.weights.calibrated_weights import CalibratedWeights
from optimize.precision.weights.mixed_bits import MixedBits
from optimize.precision.weights.weight_only import FLOAT_COMPUTE, INT8_COMPUTE, WeightOnly
from optimize.recipes import (
    BEYOND,
    FP16,
    INT4_MIXED,
    INT8_DYNAMIC,
    INT8_STATIC,
    MIXED_SHARE,
    NEAR_INT8,
    Recipe,
)
from vampnet_models.errors import InputError


@dataclass(frozen=True)
class StaticSettings:
    """What `vampbench int8 --mode static` lets the user choose; None for the recipe's own."""

    observer: str | None = None
    activations: str = "u8"
    bias_correction: bool = False
    tables: bool = False


def fp16_recipe(precision: Float16) -> Recipe:
    """FP16 with settings of its own.

    What is measured is handed on, so such a variant is always made anew.
    """
    return replace(
        FP16,
        name=_fp16_name(precision),
        precision=precision,
        reusable=not precision.measure,
        io=None if precision.keep_io else ir.DataType.FLOAT16,
    )


def _fp16_name(settings: Float16) -> str:
    """`fp16`, and a hash of the settings that differ: other settings make another variant."""
    name = "fp16-emulated" if settings.emulated else "fp16"
    ranges = None if settings.ranges is None else sorted(settings.ranges.items())
    given = (sorted(settings.keep_nodes), sorted(settings.keep_ops), settings.keep_io, ranges)
    parts = [name, *(["measured"] if settings.measure else [])]
    if given != ([], [], True, None):
        parts.append(hashlib.sha256(repr(given).encode()).hexdigest()[:8])
    return "-".join(parts)


def static_recipe(chosen: StaticSettings = StaticSettings()) -> Recipe:
    """Static INT8 with settings of its own, named by what differs from the default.

    Raises InputError for another word than `vampbench int8` takes.
    """
    observer = chosen.observer or INT8_STATIC.observer
    if observer not in OBSERVERS:
        raise InputError(f"{observer}: no such observer; choose one of {', '.join(OBSERVERS)}")
    if chosen.activations not in ("u8", "s8"):
        raise InputError(f"{chosen.activations}: no such activations; choose u8 or s8")
    settings = StaticInt8(
        signed=chosen.activations == "s8",
        correct_bias=chosen.bias_correction,
        tables=chosen.tables,
    )
    parts = [INT8_STATIC.name]
    parts += [observer] if observer != INT8_STATIC.observer else []
    parts += ["s8"] if settings.signed else []
    parts += ["corrected"] if settings.correct_bias else []
    parts += ["tables"] if settings.tables else []
    if len(parts) == 1:
        return INT8_STATIC
    return replace(INT8_STATIC, name="-".join(parts), precision=settings, observer=observer)


def dynamic_recipe(tables: bool = False) -> Recipe:
    """Dynamic INT8, of tables too where asked for."""
    if not tables:
        return INT8_DYNAMIC
    name = f"{INT8_DYNAMIC.name}-tables"
    return replace(INT8_DYNAMIC, name=name, precision=DynamicInt8(tables=True))


def weights_recipe(
    bits: str, block: str, method: str, compute: str, tables: bool = False
) -> Recipe:
    """Weight-only quantization with settings of its own, named by what differs from the default.

    Raises InputError for another word than `vampbench weights` takes.
    """
    if bits not in ("4", "8") or block not in ("32", "64", "128", "channel"):
        raise InputError(f"{bits} bits in blocks of {block}: not offered; see `weights --help`")
    methods = ("symmetric", "asymmetric", "fitted", "gptq")
    if method not in methods or compute not in ("float", "int8"):
        raise InputError(f"{method}, {compute}: not offered; see `weights --help`")
    settings = WeightOnly(
        bits=4 if bits == "4" else 8,
        block=None if block == "channel" else int(block),
        accuracy_level=INT8_COMPUTE if compute == "int8" else FLOAT_COMPUTE,
        method="asymmetric" if method == "gptq" else method,  # type: ignore[arg-type]
        tables=tables,
    )
    given = ((block, "32"), (method, "symmetric"), (compute, "float"))
    parts = [f"int{bits}-weights", *(word for word, default in given if word != default)]
    parts += ["tables"] if tables else []
    return Recipe(
        "-".join(parts),
        f"{bits}-bit weights, block {block}, {method}; {compute} arithmetic",
        Form.WEIGHTS,
        CalibratedWeights(settings) if method == "gptq" else settings,
        probe_bound=NEAR_INT8 if bits == "8" else BEYOND,
    )


def mixed_recipe(share: float = MIXED_SHARE) -> Recipe:
    """4, 6 and 8 bits in that share of FP32's bytes, 0 to 1, named by it where it is another."""
    if share == MIXED_SHARE:
        return INT4_MIXED
    name = f"{INT4_MIXED.name}-{share:g}"
    return replace(INT4_MIXED, name=name, precision=MixedBits(share), share=share)
