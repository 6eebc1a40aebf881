"""What the runtime made of a variant, as it is recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FloatKernels:
    """MatMul and Conv kernels that compute in float, for one reason.

    `listed` says whether the recipe named them as exclusions when it made the variant. `nodes`
    are names of the variant's graph, where they could be mapped back.
    """

    op_type: str
    reason: str
    listed: bool
    flops: int
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Dequantized:
    """What became of the DequantizeLinear nodes.

    Of those on weights: `in_kernels` vanished into a kernel that computes on the integers,
    `each_run` unpack to float in every run, `folded` were unpacked once at load (`folded_bytes`
    then lie in memory as float32), `unmapped` could not be found again. `activations` are those
    between nodes that stayed.
    """

    in_kernels: int
    each_run: int
    folded: int
    folded_bytes: int
    unmapped: int
    activations: int


@dataclass(frozen=True)
class Upcast:
    """float16 that the runtime computes in float32: nodes of the variant, Casts it inserted."""

    nodes: int
    casts: int


@dataclass(frozen=True)
class RuntimeFacts:
    """The runtime's own optimized graph, summed up.

    FLOPs are of one run at `shapes`: MatMul, Gemm and convolutions in integer and in float
    kernels, and apart from both `attention_flops` of `attention` (two activations multiplied, so
    no weights to quantize). `kernels` counts quantized kernels by operator. `integer_share` is
    None when there is nothing to share. `unmapped` kernels match no node of the variant;
    `unresolved` kernels have shapes that could not be told and are missing from the FLOPs.
    `graph_bytes` is what the graph took on disk while it was read.
    """

    provider: str
    onnxruntime: str
    shapes: dict[str, tuple[int, ...]]
    integer_share: float | None
    integer_flops: int
    float_flops: int
    attention_flops: int
    kernels: dict[str, int]
    attention: dict[str, int]
    float_kernels: tuple[FloatKernels, ...]
    dequantized: Dequantized
    upcast: Upcast
    weights_bytes: int
    runtime_weights_bytes: int
    unmapped: tuple[str, ...]
    unresolved: tuple[str, ...]
    graph_bytes: int

    @property
    def unlisted(self) -> tuple[FloatKernels, ...]:
        """Kernels in float that no listed exclusion explains."""
        return tuple(group for group in self.float_kernels if not group.listed)
