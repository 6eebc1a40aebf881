"""The fusions in their order, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, NameFixPass

from optimize.fusions import gated_gelu, rms_norm, sum_of_squares
from optimize.fusions.attention import (
    known_mask,
    portable_attention,
    qkv_packing,
    relative_attention,
    score_mask,
    split_products,
)
from optimize.fusions.cleanup import clean
from optimize.fusions.codec import conv_transpose, pointwise_conv, snake
from optimize.fusions.rule import Rule, Unmatched, apply
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
from vampnet_models.repair.opset import raise_opset, without_kernel

FLOAT_RULES: tuple[Rule[Any], ...] = (
    weight_norm.RULE,
    lora_weight.RULE,
    transposed_weight.RULE,
    lora.RULE,
    rms_norm.RULE,
    gated_gelu.RULE,
    known_mask.RULE,
    score_mask.RULE,
    relative_attention.RULE,
    pointwise_conv.RULE,
    codebook_lookup.RULE,
    snake.RULE,
)
"""What helps every target in every precision; constants that were left as chains come first."""

_PORTABLE_RULES: tuple[Rule[Any], ...] = (*FLOAT_RULES, portable_attention.RULE)
"""Also ONNX's own Attention for other runtimes; the model needs opset 23."""

APART_RULES: tuple[Rule[Any], ...] = (*FLOAT_RULES, split_products.RULE)
"""Also no Split behind a product: the CPU's kernels lose nothing on parts, and none is copied."""

MATRIX_RULES: tuple[Rule[Any], ...] = (
    widened_weight.RULE,
    transposed_weight.TIED_RULE,
    gemm.RULE,
    product_weight.RULE,
)
"""Every constant of a product as one float32 matrix on its right, as the precisions take it."""

_INTEGER_RULES: tuple[Rule[Any], ...] = (
    *FLOAT_RULES,
    qkv_packing.RULE,
    gemm.RULE,
    conv_transpose.RULE,
)
"""Also the forms that the runtime's integer kernels want."""

MIXED_RULES: tuple[Rule[Any], ...] = (*FLOAT_RULES, qkv_packing.RULE, gemm.RULE)
"""For mixtures: blocks by packed product; ConvTranspose stays float: little time, much error."""

NPU_RULES: tuple[Rule[Any], ...] = (
    weight_norm.RULE,
    lora_weight.RULE,
    transposed_weight.RULE,
    lora.RULE,
    gated_gelu.RULE,
    known_mask.RULE,
    pointwise_conv.RULE,
    codebook_lookup.RULE,
    snake.RULE,
    gemm.RULE,
    sum_of_squares.RULE,
)
"""What keeps to ONNX's own operators, for the compilers of NPUs and CoreML."""

WEIGHT_RULES: tuple[Rule[Any], ...] = (*FLOAT_RULES, *MATRIX_RULES)
"""Also the forms that weights alone are quantized in."""


@dataclass(frozen=True)
class Fusion:
    """How often each rule fired, and each candidate that it left alone."""

    counts: dict[str, int]
    unmatched: tuple[Unmatched, ...]
    warnings: tuple[str, ...] = ()


def fuse(model: ir.Model, rules: Iterable[Rule[Any]] = FLOAT_RULES) -> Fusion:
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
    return Fusion(counts, tuple(unmatched), tuple(warnings))
