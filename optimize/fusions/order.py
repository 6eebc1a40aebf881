"""The one table of fusions: in which order they run, and for which form of graph.

A new rule is one row here. What came of them: `Fusion`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, NameFixPass

from optimize.fusions import gated_gelu, native_gate, rms_norm, sum_of_squares
from optimize.fusions.attention import (
    known_mask,
    native_attention,
    portable_attention,
    qkv_packing,
    relative_attention,
    score_mask,
    split_products,
)
from optimize.fusions.cleanup import clean
from optimize.fusions.codec import (
    conv_transpose,
    native_conv,
    native_snake,
    pointwise_conv,
    snake,
)
from optimize.fusions.rule import Rule, apply
from optimize.fusions.weights import (
    codebook_lookup,
    gemm,
    lora,
    lora_weight,
    product_weight,
    transposed_weight,
    weight_norm,
    widened_weight,
)
from optimize.surgery.graph import infer_shapes
from optimize.surgery.scopes import name_nodes_apart, renew
from optimize.surgery.unused import remove_unused
from vampnet_models.records.variant import Unmatched
from vampnet_models.repair.opset import raise_opset, without_kernel


@dataclass(frozen=True)
class _Row:
    """A rule and the letters of the forms that it belongs to; `finish` runs on the converted graph,
    since what changes precisions knows the runtime's own operators."""

    forms: str
    rule: Rule[Any]
    finish: bool = False


class Form(Enum):
    """What a graph is fused for; the value is its letter in the table of rules."""

    FLOAT = "F"
    """Floats, on any runtime."""
    CPU = "C"
    """Floats, on the CPU provider."""
    WEIGHTS = "W"
    """Weights alone in fewer bits."""
    MIXTURE = "M"
    """A precision for each weight, of a search: ConvTranspose stays float, little time and much
    error."""
    STATIC = "S"
    """8-bit weights and activations of calibrated ranges."""
    DYNAMIC = "D"
    """The same with ranges of each run."""
    PHONE = "P"
    """ONNX's own operators alone, as the compilers of NPUs and CoreML take them."""
    CPU_NATIVE = "c"
    """As CPU, with the operators of the optional library."""
    STATIC_NATIVE = "s"
    """As STATIC with the library, whose Snake quantizes and is put in by the precision."""
    DYNAMIC_NATIVE = "d"
    """As DYNAMIC, with the library."""
    BFLOAT16_NATIVE = "b"
    """As CPU_NATIVE, with products in bfloat16."""
    MIXTURE_NATIVE = "m"
    """As MIXTURE, with the library."""
    FOREIGN = "-"
    """Another tool fuses."""

    @property
    def rules(self) -> tuple[Rule[Any], ...]:
        """The rules on the float graph, in their order."""
        return tuple(row.rule for row in _TABLE if self.value in row.forms and not row.finish)

    @property
    def finish(self) -> tuple[Rule[Any], ...]:
        """The rules on the converted graph, in their order."""
        return tuple(row.rule for row in _TABLE if self.value in row.forms and row.finish)


_TABLE = (
    # Constants that were left as chains come first: the rest looks for weights.
    _Row("F C W M S D P c s d b m", weight_norm.RULE),
    _Row("F C W M S D P c s d b m", lora_weight.RULE),
    _Row("F C W M S D P c s d b m", transposed_weight.RULE),
    _Row("F C W M S D P c s d b m", lora.RULE),
    _Row("F C W M S D   c s d b m", rms_norm.RULE),
    _Row("F C W M S D P c s d b m", gated_gelu.RULE),
    # What stands between scores and Softmax goes before the attention is looked for.
    _Row("F C W M S D P c s d b m", known_mask.RULE),
    _Row("F C W M S D   c s d b m", score_mask.RULE),
    _Row("F C W M S D   c s d b m", relative_attention.RULE),
    _Row("F C W M S D P c s d b m", pointwise_conv.RULE),
    _Row("F C W M S D P c s d b m", codebook_lookup.RULE),
    _Row("F C W M S D P   s     m", snake.RULE),
    _Row("              c   d b  ", native_snake.RULE),
    # The CPU's kernels lose nothing on parts, and integer ones quantize a shared input once.
    _Row("  C     S D   c s d b  ", split_products.RULE),
    # A mixture gives the products of one input one precision.
    _Row("      M               m", qkv_packing.RULE),
    # Every constant of a product as one float32 matrix on its right.
    _Row("    W   S D     s d b  ", widened_weight.RULE),
    _Row("    W   S D     s d b  ", transposed_weight.TIED_RULE),
    _Row("    W M S D P   s d b m", gemm.RULE),
    _Row("    W   S D     s d b  ", product_weight.RULE),
    _Row("          D       d    ", conv_transpose.RULE),
    _Row("            P          ", sum_of_squares.RULE),
    _Row("              c        ", native_attention.RULE, finish=True),
    _Row("                      m", native_snake.RULE, finish=True),
    _Row("                s d b m", native_attention.RULE_BFLOAT16, finish=True),
    _Row("              c s d b m", native_gate.RULE, finish=True),
    # What was not made integers; its Snakes and sums are in their last form.
    _Row("              c s d b m", native_conv.RULE, finish=True),
    # Last: what the library's operator left.
    _Row("  C     S D   c s d b  ", portable_attention.RULE, finish=True),
)
"""Every rule, one a row, in the order in which they run."""


@dataclass(frozen=True)
class Fusion:
    """How often each rule fired, and each candidate that it left alone."""

    counts: dict[str, int]
    unmatched: tuple[Unmatched, ...]
    warnings: tuple[str, ...] = ()


def fuse(model: ir.Model, rules: Iterable[Rule[Any]] = Form.FLOAT.rules) -> Fusion:
    """Apply the rules to a model in place, in their order; weights are not read.

    Functions are inlined, names made unique, types and shapes inferred, constants folded and dead
    code removed first.
    """
    if model.functions:
        InlinePass()(model)
    NameFixPass()(model)
    name_nodes_apart(model.graph)
    infer_shapes(model)
    clean(model)
    renew(model.graph)
    found = finished(model, rules)
    clean(model)
    renew(model.graph)
    return found


def finished(model: ir.Model, rules: Iterable[Rule[Any]]) -> Fusion:
    """Apply the rules to a model that is fused already.

    Its opset is raised where a rule with candidates needs a newer one and every node still has a
    kernel there.
    """
    counts: dict[str, int] = {}
    unmatched: list[Unmatched] = []
    warnings: list[str] = []
    for rule in rules:
        opset = model.graph.opset_imports.get("", 0)
        if rule.opset > opset and any(rule.candidates(model.graph)):
            lost = without_kernel(model, rule.opset)
            if lost:
                warnings.append(
                    f"{rule.name}: the model stays at opset {opset}, since the runtime "
                    f"has no kernel for {', '.join(lost)} of opset {rule.opset}"
                )
            else:
                raise_opset(model, rule.opset)
                renew(model.graph)
        counts[rule.name], left = apply(rule, model.graph)
        unmatched.extend(left)
    # A weight that was packed anew is there twice.
    remove_unused(model)
    return Fusion(counts, tuple(unmatched), tuple(warnings))
