"""Android phones, on the CPU provider: NNAPI is deprecated since Android 15."""

from __future__ import annotations

from profiles.count.packaging import StoreLimit
from profiles.targets.contract import Target
from profiles.targets.mobile import MOBILE
from vampnet_models.records.manifest import TelemetrySwitch
from vampnet_models.telemetry import VARIABLE

ANDROID = Target(
    name="android",
    provider="CPUExecutionProvider",
    telemetry=TelemetrySwitch(
        "android.system.Os.setenv",
        "first use of ai.onnxruntime",
        f'call android.system.Os.setenv("{VARIABLE}", "1", true) before the first use of '
        "ai.onnxruntime, in Application.onCreate; OrtEnvironment.setTelemetry(false) alone comes "
        "too late for the first event",
    ),
    profiler=MOBILE,
    takes_ort=True,
    stores=(
        StoreLimit("Google Play", "base module", 200_000_000),
        StoreLimit("Google Play", "asset pack", 1_500_000_000),
    ),
    runtimes=("cpu", "xnnpack"),
)
