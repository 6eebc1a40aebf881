"""The sets of full-size variants that play the same music."""

from __future__ import annotations

from pathlib import Path

SECONDS, RATE_HZ = 10, 44_100
"""Of the music."""

SETS = {
    "ort-fp32": ("", "", "", ""),
    "portable": ("fused", "int8-dynamic", "int8-dynamic", "int8-static"),
    "native": ("fused-native", "int8-dynamic-native", "int8-dynamic-native", "int8-static-native"),
    "native bf16": ("fused-native", "bf16-native", "bf16-native", "fused-native"),
}
"""By name, the recipes of encoder, coarse, c2f and decoder; without one, the raw export."""

BASELINE = "ort-fp32"
PYTORCH = "pytorch"
TORCH_SETS = {PYTORCH: "eager", "pytorch compiled": "compiled"}
"""By name, how PyTorch runs all four, each with the weights of the raw export."""

STEMS = ("codec_encoder", "coarse", "c2f", "codec_decoder")


def paths_of(name: str, models: Path, work: Path) -> list[Path]:
    """The four models of a set."""
    return [
        work / f"{stem}.{recipe}.onnx" if recipe else models / f"{stem}.onnx"
        for stem, recipe in zip(STEMS, SETS[name], strict=True)
    ]
