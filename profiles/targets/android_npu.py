"""Android phones with Qualcomm's NPU: the QNN provider, whose compiler `qnn` asks."""

from __future__ import annotations

from profiles.targets.android import ANDROID
from profiles.targets.contract import Target
from profiles.targets.mobile import MOBILE

_NPU_RECIPES = ("npu-fp16", "npu-a8w8", "npu-a16w8")
"""A CPU computes them in float."""

ANDROID_NPU = Target(
    name="android-npu",
    provider="QNNExecutionProvider",
    telemetry=ANDROID.telemetry,
    profiler=MOBILE,
    why="transformers in what Qualcomm's compiler takes whole; the codec on the CPU",
    own_recipes=_NPU_RECIPES,
    recipes=_NPU_RECIPES,
    # The emulated NPU's FP16 keeps 77 % of the encoder's codes and 12 dB of the decoder's sound.
    codec_recipes=("fp16",),
    stores=ANDROID.stores,
)
