"""What is known of operators, by name: the one table that everything else asks.

A set says what its operators are, in any domain and any precision, or what they do with values. A
rule that is about one operator names it itself; what one runtime takes stands with that runtime.
"""

from __future__ import annotations

DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
"""ONNX's own domain, short and spelled out."""

MICROSOFT = "com.microsoft"
NATIVE_DOMAIN = "vampnet.native"
"""The optional operator library's."""

RUNTIME_DOMAINS = DEFAULT_DOMAINS | {
    *("ai.onnx.ml", "ai.onnx.training", MICROSOFT, "com.microsoft.nchwc", "com.ms.internal.nhwc"),
    NATIVE_DOMAIN,
}
"""Domains whose operators ONNX Runtime, or our library, has."""

ONLY_IN_RUNTIME_OPS = frozenset({"SimplifiedLayerNormalization"})
"""Operators that ONNX Runtime defines in ONNX's domain; onnx has no schema for them."""

CONV_OPS = frozenset({"Conv", "FusedConv", "NhwcConv", "NhwcFusedConv", "ConvInteger"})
"""Convolutions by a weight `[out, in / groups, kernel...]` at input 1."""

NATIVE_CONV = "Convolution"
"""The library's, also of what was a ConvTranspose; its weight is `[panels, in, taps, 8]`."""

FLOAT_PRODUCT_OPS = CONV_OPS - {"ConvInteger"} | {
    *("ConvTranspose", "MatMul", "FusedMatMul", "TransposeMatMul", "Gemm", "FusedGemm"),
    *("Bfloat16Product", NATIVE_CONV),
}
INTEGER_PRODUCT_OPS = frozenset(
    {
        *("QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger"),
        *("DynamicQuantizeMatMul", "MatMulIntegerToFloat"),
        *("IntegerProduct", "IntegerBlockProduct"),
    }
)
NBITS = "MatMulNBits"
PRODUCT_OPS = FLOAT_PRODUCT_OPS | INTEGER_PRODUCT_OPS | {NBITS}
"""Operators that multiply matrices or convolve, in any precision."""

RECURRENT_OPS = ("LSTM", "GRU", "RNN")
WEIGHT_OPS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose", *RECURRENT_OPS})
"""What exporters write for a layer with a weight."""

WEIGHT_INPUTS = {
    **dict.fromkeys(("MatMul", "Gemm"), (0, 1)),
    **dict.fromkeys(("Conv", "ConvTranspose"), (1,)),
    **dict.fromkeys(RECURRENT_OPS, (1, 2)),
    "Gather": (0,),
}
"""Where the weight, or the table, of such a layer may stand among its inputs."""

NATIVE_BYTE_OPS = ("SnakeQuantize", "SnakeBytes")
"""The library's operators whose output is uint8; but for those of products and convolutions, all
outputs are shaped as the first input."""

NATIVE_PRODUCT_BIASES = {"IntegerProduct": 4, "IntegerBlockProduct": 4, "Bfloat16Product": 2}
"""The library's products, and which input is the bias: as long as the last axis of the output."""

ATTENTION_OPS = frozenset(
    {
        *("Attention", "MultiHeadAttention", "GroupQueryAttention"),
        *("RelativeAttention", "RelativeAttentionBfloat16"),
    }
)
"""Attentions of ONNX, of the runtime and of the library."""

NORM_OPS = {
    "RMSNormalization": 4,  # square, mean, scale by the root, scale by the weight
    "SimplifiedLayerNormalization": 4,
    "SkipSimplifiedLayerNormalization": 5,
    "LayerNormalization": 6,
    "SkipLayerNormalization": 7,
    "InstanceNormalization": 6,
    "GroupNormalization": 6,
}
"""Normalizations over channels or groups, each with its FLOPs per element of the output, which is
shaped as the first input. Exporters fold BatchNormalization into the layer before it."""

GELU_OPS = frozenset({"Gelu", "FastGelu", "BiasGelu", "QuickGelu"})

HEAVY_OPS = WEIGHT_OPS | ATTENTION_OPS | NORM_OPS.keys() | {"Softmax"}
"""Operators whose precision is reported one by one; elementwise operators are not."""

QUANTIZED_OPS = INTEGER_PRODUCT_OPS | {
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", NBITS, "GatherBlockQuantized"),
}
"""Operators that only a quantized model has."""

DRAWING_OPS = frozenset(
    {
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        *("Multinomial", "Bernoulli"),
    }
)
"""Operators that draw numbers."""

RANDOM_OPS = DRAWING_OPS | {"Dropout", "BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"}
"""Operators that may give another answer each time; a Dropout in training mode alone."""

BRANCHING_OPS = ("If", "Loop", "Scan")
"""Operators with bodies that the runtime runs."""

BROADCASTING_OPS = frozenset(
    {
        *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max"),
        *("Mean", "Min", "Mod", "Mul", "Or", "Pow", "PRelu", "Sub", "Sum", "Where", "Xor"),
    }
)

RESHAPING_OPS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""The elements of the first input, in their order."""

REARRANGING_OPS = RESHAPING_OPS | {
    *("Transpose", "Slice", "Split", "Gather", "GatherElements", "GatherND", "Expand", "Tile"),
}
"""Nothing but elements of the first input."""

VIEW_OPS = RESHAPING_OPS | {"Shape", "Size", "Constant"}
"""No arithmetic and no traffic: the runtime changes the shape only, or knows it beforehand."""

MOVING_OPS = (REARRANGING_OPS - RESHAPING_OPS) | {
    *("Concat", "Pad", "Cast", "CastLike", "ScatterND", "ScatterElements", "Where", "OneHot"),
    *("DepthToSpace", "SpaceToDepth", "ConstantOfShape", "Range"),
    *("MemcpyToHost", "MemcpyFromHost", "ReorderInput", "ReorderOutput"),
}
"""Traffic without arithmetic."""
