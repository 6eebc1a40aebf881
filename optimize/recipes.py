"""The recipes: how a variant is made, as ordered steps, and what each must achieve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from optimize.fusions.order import Form, Fusion
from optimize.precision.bfloat16 import Bfloat16
from optimize.precision.contract import Float32, Needs, Precision
from optimize.precision.fp16.convert import Float16
from optimize.precision.int8.dynamic import DynamicInt8
from optimize.precision.int8.static import StaticInt8
from optimize.precision.npu import ActivationBits, NpuInt8
from optimize.precision.weights.mixed_bits import MixedBits
from optimize.precision.weights.weight_only import WeightOnly
from vampnet_models.errors import InputError
from vampnet_models.spec import OPSET

NATIVE = "-native"
"""Ends the name of a recipe that needs the optional library."""


def portable_name(recipe: str) -> str:
    """The name of the recipe that lies beside a native one; another recipe's own."""
    return recipe.removesuffix(NATIVE)


INTEGER_SHARE = 0.95
"""What a variant called INT8 promises of its MatMul and Conv FLOPs."""


_EXACT = 1e-4
"""Sums in another order, 24 bits of each."""

_NEAR_FP16 = 0.05
"""Ten times what float16 costs deep models; a wrong graph is far beyond."""

NEAR_INT8 = 0.8
"""Eight bits of weights or activations: above what odd but honest models show on noise (0.55 of a
voice detector's state), which `verify` judges. A convolution of the wrong axis shows 0.94."""

BEYOND = 2.0
"""Four bits, and what others choose: on noise they may leave nothing of an answer (0.95 of that
state). Two answers that have nothing to do with each other differ by 1.4: what this finds is what
blows up, has another form or is not finite."""


_FLOAT32 = Float32()


@dataclass(frozen=True)
class Recipe:
    """Raise an older model to `opset`, fuse it for `form` (or by `fuse`, another tool's way),
    convert it to `precision`, then finish it for `form`.

    `expect` names the rules that must match every one of their candidates (as many attentions as
    there are Softmaxes, ...). Ranges that the precision asks for are chosen by `observer`.
    `integer_share` of the MatMul and Conv FLOPs must run in integer
    kernels, but for nodes that are left with a reason. A variant that is there already is used
    again where it was made by a `reusable` recipe of the same name.
    One that `is_native` needs the optional library, and a portable model to fall back to. One for
    `as_exported` models refuses those that were fused or quantized before. `io` is the type that
    float inputs and outputs may get. `probe_bound` is how far an answer may be from the source's
    when both are run once (relative RMS). `share` of the source's bytes are the most that it takes.
    """

    name: str
    summary: str
    form: Form
    precision: Precision[Any] = _FLOAT32
    observer: str = "minmax"
    opset: int = OPSET
    expect: tuple[str, ...] = ("rms_norm", "relative_attention", "snake")
    integer_share: float | None = None
    reusable: bool = True
    fuse: Callable[[ir.Model], Fusion] | None = None
    is_native: bool = False
    as_exported: bool = False
    io: ir.DataType | None = None
    probe_bound: float = BEYOND
    share: float | None = None

    @property
    def portable(self) -> str:
        """The recipe of the model that lies beside a native one; its own name of any other."""
        return portable_name(self.name) if self.is_native else self.name

    @property
    def needs_calibration(self) -> bool:
        """Whether feeds are needed."""
        return self.precision.needs is not Needs.NOTHING

    def size_warnings(self, n_bytes: int, source_bytes: int) -> tuple[str, ...]:
        """A line where a variant is larger than its source, or than the share that is promised."""
        if n_bytes > source_bytes:
            return (f"{n_bytes} bytes: larger than the source with {source_bytes}",)
        if self.keeps_share(n_bytes, source_bytes):
            return ()
        line = f"{n_bytes / source_bytes:.1%} of the source's bytes, not {self.share:.0%}"
        return (f"{line}: what is left in other bits takes the rest",)

    def keeps_share(self, n_bytes: int, source_bytes: int) -> bool:
        """Whether a variant takes no more than the share that is promised, if one is."""
        return self.share is None or n_bytes <= self.share * source_bytes


_EXPECTED = ("rms_norm", "relative_attention", "snake", "split_products", "portable_attention")

_FUSED = Recipe(
    "fused",
    "float32, with fused operators",
    Form.CPU,
    expect=_EXPECTED,
    probe_bound=_EXACT,
)

FP16 = Recipe(
    "fp16",
    "float16 weights and arithmetic; float32 where float16 would change the codes or overflow",
    Form.FLOAT,
    Float16(),
    probe_bound=_NEAR_FP16,
)


INT8_STATIC = Recipe(
    "int8-static",
    "8-bit weights and activations, ranges calibrated on audio",
    Form.STATIC,
    StaticInt8(),
    expect=_EXPECTED,
    integer_share=INTEGER_SHARE,
    probe_bound=NEAR_INT8,
)

_NATIVE_EXPECTED = (*_EXPECTED[:2], "native_snake", "split_products", "native_attention")


_FUSED_NATIVE = replace(
    _FUSED,
    name="fused-native",
    summary="float32, with the optional library's convolutions and attention, and fused operators",
    form=Form.CPU_NATIVE,
    expect=_NATIVE_EXPECTED,
    is_native=True,
)

_INT8_STATIC_NATIVE = replace(
    INT8_STATIC,
    name="int8-static-native",
    summary="8-bit weights and activations, with the optional library's operators",
    form=Form.STATIC_NATIVE,
    precision=StaticInt8(native=True),
    expect=(*_EXPECTED[:-1], "native_attention"),
    is_native=True,
)

INT8_DYNAMIC = Recipe(
    "int8-dynamic",
    "8-bit weights and activations, ranges taken at run time",
    Form.DYNAMIC,
    DynamicInt8(),
    expect=(*_EXPECTED, "conv_transpose"),
    integer_share=INTEGER_SHARE,
    probe_bound=NEAR_INT8,
)

_INT8_DYNAMIC_NATIVE = replace(
    INT8_DYNAMIC,
    name="int8-dynamic-native",
    summary="8-bit, ranges taken of each row at run time, with the optional library's products",
    form=Form.DYNAMIC_NATIVE,
    precision=DynamicInt8(native=True),
    expect=(*_NATIVE_EXPECTED, "conv_transpose"),
    is_native=True,
)

_INT8_WEIGHTS = Recipe(
    "int8-weights",
    "8-bit weights; activations stay float between operators",
    Form.WEIGHTS,
    WeightOnly(bits=8),
    probe_bound=NEAR_INT8,
)

_INT4_WEIGHTS = Recipe(
    "int4-weights",
    "4-bit weights in blocks of 32; activations stay float between operators",
    Form.WEIGHTS,
    WeightOnly(bits=4),
)

BF16 = Recipe(
    "bf16",
    "bfloat16 weights of products, unfolded at load; arithmetic stays float32",
    Form.WEIGHTS,
    Bfloat16(),
    probe_bound=_NEAR_FP16,
)

_BF16_NATIVE = replace(
    BF16,
    name="bf16-native",
    summary="bfloat16 products, with the optional library, where the processor has them",
    form=Form.BFLOAT16_NATIVE,
    precision=Bfloat16(native=True),
    expect=_NATIVE_EXPECTED,
    is_native=True,
)

MIXED_SHARE = 0.22
"""Of FP32's bytes: with it both small trained transformers are shown to be harmless."""

INT4_MIXED = Recipe(
    "int4-mixed",
    "4-, 6- and 8-bit weights by their effect on the output; activations stay float",
    Form.WEIGHTS,
    MixedBits(MIXED_SHARE),
    share=MIXED_SHARE,
)


def _npu(bits: ActivationBits) -> Recipe:
    return Recipe(
        f"npu-a{bits}w8",
        f"Qualcomm NPU: {bits}-bit activations and 8-bit weights in products, FP16 elsewhere",
        Form.PHONE,
        NpuInt8(bits),
        expect=("snake",),
        as_exported=True,
        probe_bound=NEAR_INT8,
    )


_NPU_FP16 = Recipe(
    "npu-fp16",
    "Qualcomm NPU: operators that its compiler takes, stored in float32, computed in FP16",
    Form.PHONE,
    expect=("snake",),
    as_exported=True,
    probe_bound=_EXACT,
)
NPU_A8W8, NPU_A16W8 = _npu(8), _npu(16)

_COREML_FP16 = Recipe(
    "coreml-fp16",
    "iOS: float16 in ONNX's own operators, which CoreML takes where it refuses fused attention",
    Form.PHONE,
    Float16(),
    expect=("snake",),
    as_exported=True,
    probe_bound=_NEAR_FP16,
)


RECIPES = (_FUSED, FP16, INT8_STATIC, INT8_DYNAMIC, _INT8_WEIGHTS, _INT4_WEIGHTS)

NPU_RECIPES = (_NPU_FP16, NPU_A8W8, NPU_A16W8)
"""For Qualcomm's NPU."""

_PHONE_RECIPES = (*NPU_RECIPES, _COREML_FP16)
"""For one kind of phone each; made when they are asked for."""

ALL_RECIPES = (*RECIPES, INT4_MIXED, BF16, *_PHONE_RECIPES)
"""Those that a run makes by itself, and those that are made when they are asked for."""


NATIVE_RECIPES = (_FUSED_NATIVE, _INT8_STATIC_NATIVE, _INT8_DYNAMIC_NATIVE, _BF16_NATIVE)
"""Each makes what the recipe without `-native` makes, faster, for machines with the library."""

EVERY_RECIPE = (*ALL_RECIPES, *NATIVE_RECIPES)
"""In the order of a run: a portable model is there before the native one that names it."""


def searched_recipes(*, native: bool = False) -> tuple[Recipe, ...]:
    """Those that a search of mixtures tries beside them; with `native`, each that needs the
    optional library too, after the portable one that lies beside it."""
    if not native:
        return RECIPES
    beside = {recipe.portable for recipe in NATIVE_RECIPES}
    wanted = (*RECIPES, *NATIVE_RECIPES)
    return tuple(each for each in EVERY_RECIPE if each in wanted or each.name in beside)


def find_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises InputError that lists the names."""
    for recipe in EVERY_RECIPE:
        if recipe.name == name:
            return recipe
    names = ", ".join(recipe.name for recipe in ALL_RECIPES)
    raise InputError(f"{name}: no such recipe; choose one of {names}")
