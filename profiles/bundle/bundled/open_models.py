"""The models of this bundle as sessions: `run_path("BUNDLE/open_models.py")["open_models"]()`.

It needs onnxruntime alone.
"""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the runtime is loaded
import onnxruntime as ort

HERE = Path(__file__).resolve().parent


def open_models() -> dict[str, ort.InferenceSession]:
    """Each model of the bundle, by its name.

    A native one takes the library that lies here for this kind of machine. Where there is none, or
    it does not load, the portable model is opened, and a sentence on stderr says why.
    """
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    machine, provider = f"{sys.platform}-{platform.machine()}", manifest["provider"]
    built = {each["platform"]: each["file"] for each in manifest.get("libraries", ())}
    opened, reasons = {}, []
    for model in manifest["models"]:
        name, portable, library = model["name"], model.get("portable"), built.get(machine)
        if portable is None:
            opened[name] = _session(model, provider)
            continue
        try:
            if library is None:
                raise OSError(f"there is no library for {machine}")
            opened[name] = _session(model, provider, library)
        except Exception as error:  # noqa: BLE001 - whatever the loader or the runtime raises
            opened[name] = _session(portable, provider)
            reasons.append(" ".join(str(error).split()))
    for reason in dict.fromkeys(reasons):
        print(f"portable models are open in place of native ones: {reason}", file=sys.stderr)
    return opened


def _session(
    model: dict[str, Any], provider: str, library: str | None = None
) -> ort.InferenceSession:
    """Open a model, with the operators of a library where it needs them."""
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors: what the runtime remarks on graphs helps nobody here
    if model.get("exact_products") and not _has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    if library is not None:
        options.register_custom_ops_library(str(HERE / library))
    return ort.InferenceSession(HERE / model["file"], options, providers=[provider])


def _has_vnni() -> bool:
    """Whether the processor has VNNI; x86 without it cuts sums of 8-bit products short."""
    told = Path("/proc/cpuinfo")
    return told.is_file() and "_vnni" in told.read_text(encoding="utf-8")
