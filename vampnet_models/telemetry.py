"""ONNX Runtime's telemetry, off before the runtime is loaded.

Its official builds send usage events to Microsoft by default. On Linux and macOS the variable below
stops all of it, the stored device identifier included, but only where it is set before the runtime
starts. So each of our packages turns it off in its `__init__`, ahead of any import of the runtime,
and child processes inherit it. Scripts that other interpreters run set the variable themselves.
"""

from __future__ import annotations

import os

VARIABLE = "ORT_DISABLE_TELEMETRY"


def turn_off() -> None:
    """Set the variable for this process and its children, whatever it was."""
    os.environ[VARIABLE] = "1"
