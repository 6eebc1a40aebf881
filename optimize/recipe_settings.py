"""Recipes with settings of a user's own, named by what differs from the default."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import onnx_ir as ir

from calibration.ranges.observers import OBSERVERS, Range
from optimize.fusions.order import Form
from optimize.precision.contract import Conversion, RangeLike, Traits
from optimize.precision.fp16 import convert as fp16
from optimize.precision.fp16 import emulate as fp16_emulate
from optimize.precision.fp16 import ranges as fp16_ranges
from optimize.precision.int8 import dynamic as int8_dynamic
from optimize.precision.int8 import static as int8_static
from optimize.precision.weights import calibrated_weights, weight_only
from optimize.recipes import (
    BEYOND,
    FP16,
    INT8_DYNAMIC,
    INT8_STATIC,
    NEAR_INT8,
    Recipe,
    with_static_settings,
)
from vampnet_models.errors import InputError


@dataclass(frozen=True)
class StaticSettings:
    """What `vampbench int8 --mode static` lets the user choose; None for the recipe's own."""

    observer: str | None = None
    activations: str = "u8"
    bias_correction: bool = False
    tables: bool = False


@dataclass(frozen=True)
class Fp16Settings:
    """What stays in float32, and whether inputs and outputs do; `ranges` were measured before."""

    keep_nodes: tuple[str, ...] = ()
    keep_ops: tuple[str, ...] = ()
    keep_io: bool = True
    ranges: Mapping[str, Range] | None = None
    measure: bool = False
    on_ranges: Callable[[Mapping[str, Range]], None] | None = None
    emulated: bool = False


def fp16_recipe(settings: Fp16Settings) -> Recipe:
    """FP16 with settings of its own.

    With `measure` the recipe is calibrated: nodes whose values float16 cannot hold stay. What was
    measured is handed to `on_ranges`, so such a variant is always made anew. `emulated` gives the
    float32 graph that rounds each result.
    """

    def convert(model: ir.Model, given: Mapping[str, RangeLike], traits: Traits) -> Conversion:
        ranges = given if settings.measure else settings.ranges or {}
        whole = {name: Range(float(r.low), float(r.high)) for name, r in ranges.items()}
        if settings.measure and settings.on_ranges is not None:
            settings.on_ranges(whole)
        measured = fp16_ranges.nodes_to_keep(model.graph, whole)
        keep_nodes, keep_ops = settings.keep_nodes, settings.keep_ops
        if settings.emulated:
            count = fp16_emulate.emulate(
                model,
                keep_nodes=keep_nodes,
                keep_ops=keep_ops,
                measured=measured,
                traits=traits,
            )
            return Conversion({"float16, emulated": count})
        return fp16.convert(
            model,
            keep_nodes=keep_nodes,
            keep_ops=keep_ops,
            measured=measured,
            keep_io=settings.keep_io,
            traits=traits,
        )

    return replace(
        FP16,
        name=_fp16_name(settings),
        convert=convert,
        reusable=not settings.measure,
        observe=(lambda graph, _traits: fp16_ranges.tensors_to_measure(graph))
        if settings.measure
        else None,
        io=None if settings.keep_io else ir.DataType.FLOAT16,
    )


def _fp16_name(settings: Fp16Settings) -> str:
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
    settings = int8_static.Settings(
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
    return replace(
        with_static_settings(INT8_STATIC, settings), name="-".join(parts), observer=observer
    )


def dynamic_recipe(tables: bool = False) -> Recipe:
    """Dynamic INT8, of tables too where asked for."""
    if not tables:
        return INT8_DYNAMIC
    return replace(
        INT8_DYNAMIC,
        name=f"{INT8_DYNAMIC.name}-tables",
        convert=lambda model, _ranges, traits: int8_dynamic.convert(
            model, traits=traits, with_tables=True
        ),
    )


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
    settings = weight_only.Settings(
        bits=4 if bits == "4" else 8,
        block=None if block == "channel" else int(block),
        accuracy_level=(
            weight_only.INT8_COMPUTE if compute == "int8" else weight_only.FLOAT_COMPUTE
        ),
        method=method,  # type: ignore[arg-type]
        tables=tables,
    )
    given = ((block, "32"), (method, "symmetric"), (compute, "float"))
    parts = [f"int{bits}-weights", *(word for word, default in given if word != default)]
    parts += ["tables"] if tables else []
    return Recipe(
        "-".join(parts),
        f"{bits}-bit weights, block {block}, {method}; {compute} arithmetic",
        Form.WEIGHTS,
        None
        if method == "gptq"
        else lambda model, _ranges, traits: weight_only.convert(model, settings, traits=traits),
        calibrate=partial(calibrated_weights.convert, settings) if method == "gptq" else None,
        probe_bound=NEAR_INT8 if bits == "8" else BEYOND,
    )
