"""What a bundle says of ONNX Runtime's telemetry on its target: how an app turns it off.

Source: Privacy.md of ONNX Runtime (1.29 and later): its official packages for Linux, macOS, Android
and iOS send events over HTTPS by default, those for Windows hand them to the system (ETW).
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

TELEMETRY = "TELEMETRY-NOTE.txt"

_VARIABLE = "ORT_DISABLE_TELEMETRY"
_DESKTOP = (
    f"on Linux and macOS set {_VARIABLE}=1 in the environment before ONNX Runtime is loaded "
    "(selfcheck.py and example.py do); on Windows call OrtApi::DisableTelemetryEvents "
    "(Python: onnxruntime.disable_telemetry_events()) first of all"
)
_ANDROID = (
    f'call android.system.Os.setenv("{_VARIABLE}", "1", true) before the first use of '
    "ai.onnxruntime, in Application.onCreate; OrtEnvironment.setTelemetry(false) alone comes too "
    "late for the first event"
)


@dataclass(frozen=True)
class _TurnedOff:
    """How an app turns it off: what sets the variable, ahead of what, and that in a sentence."""

    set_with: str
    before: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """For the manifest: the official packages report unless the variable has that value."""
        return {"on_by_default": True, "variable": _VARIABLE, "value": "1", **asdict(self)}


_ON_DESKTOP = _TurnedOff("environment", "loading onnxruntime", _DESKTOP)
_ON_ANDROID = _TurnedOff("android.system.Os.setenv", "first use of ai.onnxruntime", _ANDROID)
_ON_IOS = _TurnedOff(
    "setenv",
    "first ORTEnv",
    f'call setenv("{_VARIABLE}", "1", 1) in main, before the first ORTEnv; macOS apps do the same',
)

TURNED_OFF = {
    "cpu": _ON_DESKTOP,
    "cuda": _ON_DESKTOP,
    "android": _ON_ANDROID,
    "android-npu": _ON_ANDROID,
    "ios": _ON_IOS,
}
"""By target."""


def telemetry_note(target: str) -> str:
    """The text that ships beside the models."""
    paragraphs = (
        "ONNX Runtime's official packages report their use to Microsoft by default (Privacy.md in "
        "its repository says what).",
        f"To turn it off in an app: {TURNED_OFF[target].text}.",
        "OrtApi::DisableTelemetryEvents stops later events on every platform, not the one that is "
        "sent when the runtime starts. A runtime of your own that is built with --no_telemetry "
        "sends nothing.",
    )
    return "\n\n".join(textwrap.fill(each, 96) for each in paragraphs) + "\n"
