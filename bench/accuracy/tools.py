"""The quantizers that `bench/accuracy/run.py` compares, and what each is told.

Every tool gets the same feeds and what its own documentation recommends for transformers: weights
per channel, products of two activations left in float, float outputs, SmoothQuant where it has it.
The settings are given to its process as they stand here, and stand in the record.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import ROOT
from optimize.backends.inc_script import settings as inc_settings
from vampnet_models.cache import Json
from vampnet_models.spec import Role

_POLL_S = 0.02
NOT_INSTALLED = "is not installed"
ENDED = "ended"
_TRANSFORMERS = (Role.COARSE, Role.C2F)


@dataclass(frozen=True)
class Tool:
    """A way to INT8: whose interpreter runs which script, with which settings.

    `arguments` follow the three files; `settings`, as JSON, comes last where there are any, with
    `transformer` on top where the model is one. `told` is what the record says where the script
    has its settings itself. A tool that `smooths` is for transformers alone, and takes a Conv of
    one dimension for a product: it gets such a Conv written as a MatMul.
    """

    name: str
    interpreter: Path
    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    settings: Json = field(default_factory=dict)
    transformer: Json = field(default_factory=dict)
    told: Json = field(default_factory=dict)
    suffix: str = ".onnx"
    smooths: bool = False

    def settings_for(self, role: Role) -> Json:
        """What the tool is given for a model of this role."""
        return self.settings | (self.transformer if role in _TRANSFORMERS else {})

    def takes(self, role: Role) -> bool:
        """Whether the tool is for models of this role."""
        return role in _TRANSFORMERS or not self.smooths


_HERE = Path(sys.executable)
_INC = ROOT / ".venv-inc" / "bin" / "python"
_OPENVINO = ROOT / ".venv-bench" / "bin" / "python"
_OURS = ("-m", "bench.latency.runners")
_ORT_SCRIPT = ("-m", "bench.accuracy.onnxruntime_tool")
_NNCF_SCRIPT = ("-m", "bench.latency.nncf")
_INC_SCRIPT = ("-P", "optimize/backends/inc_script.py")

_HEAVY = ("MatMul", "Conv")
_STATIC = {
    "per_channel": True,
    "reduce_range": False,
    "op_types_to_quantize": _HEAVY,
    "extra_options": {"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": _HEAVY},
}
"""quantize_static, U8S8 in QDQ, after quant_pre_process; 8 bits, as its guide says of VNNI."""


def _ort(name: str, settings: Json, interpreter: Path = _HERE, smooths: bool = False) -> Tool:
    name = f"onnxruntime {name}"
    # Its inference of symbolic shapes fails on the encoder.
    settings = {"skip_symbolic_shape": True, **settings}
    return Tool(name, interpreter, _ORT_SCRIPT, settings=settings, smooths=smooths)


def _static(method: str) -> Json:
    # What stacks the tensors of all feeds fails where their lengths differ.
    return {
        "mode": "static",
        "calibrate_method": method,
        "one_length": method != "MinMax",
        **_STATIC,
    }


def _smoothed() -> Json:
    options = _STATIC["extra_options"] | {"SmoothQuant": True, "SmoothQuantAlpha": 0.5}
    return _static("MinMax") | {"extra_options": options, "one_length": True}


def _inc(name: str, method: str) -> Tool:
    smooths = method == "smoothquant"
    told = inc_settings(method) | ({"one_length": True} if smooths else {})
    name = f"Neural Compressor, {name}"
    return Tool(name, _INC, _INC_SCRIPT, (method,), told=told, smooths=smooths)


TOOLS = (
    Tool("ours: int8-static", _HERE, (*_OURS, "int8-static")),
    Tool("ours: int8-dynamic", _HERE, (*_OURS, "int8-dynamic")),
    _ort("quantize_static, minmax", _static("MinMax")),
    _ort("quantize_static, percentile", _static("Percentile")),
    _ort("quantize_static, entropy", _static("Entropy")),
    _ort("quantize_static, SmoothQuant", _smoothed(), _INC, smooths=True),
    _ort("quantize_dynamic", {"mode": "dynamic", "per_channel": True}),
    Tool(
        "NNCF, for OpenVINO",
        _OPENVINO,
        _NNCF_SCRIPT,
        settings={"preset": "mixed"},
        transformer={"model_type": "transformer"},
        suffix=".xml",
    ),
    _inc("static", "static"),
    _inc("SmoothQuant", "smoothquant"),
    _inc("dynamic", "dynamic"),
)


@dataclass(frozen=True)
class Limits:
    """What a tool's process may take before it is ended."""

    peak_bytes: float = float("inf")
    seconds: float = float("inf")


def make(
    tool: Tool, role: Role, source: Path, calibration: Path, out: Path, limits: Limits = Limits()
) -> Json:
    """Run a tool: seconds and peak bytes of its process, or why it failed."""
    if not tool.interpreter.is_file():
        return {"failed": f"{tool.interpreter.parent.parent.name} {NOT_INSTALLED}"}
    files = [str(each.resolve()) for each in (source, calibration, out)]
    command = [str(tool.interpreter), *tool.command, *files, *tool.arguments]
    settings = tool.settings_for(role)
    if settings:
        command.append(json.dumps(settings))
    log = out.with_name("log")
    before_s, started_s = _children_cpu_s(), time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        peak_bytes, reason = _watched(process, limits)
    cost = {
        "seconds": time.perf_counter() - started_s,
        "cpu_seconds": _children_cpu_s() - before_s,
        "peak_rss_bytes": peak_bytes,
    }
    if reason is not None:
        return {"failed": reason, **cost}
    if process.returncode != 0 or not out.is_file():
        lines = log.read_text(errors="replace").strip().splitlines()
        said = lines[-1][-300:] if lines else f"exit code {process.returncode}, nothing said"
        return {"failed": said, **cost}
    return {**cost, "bytes": sum(p.stat().st_size for p in out.parent.iterdir() if p != log)}


def _children_cpu_s() -> float:
    """Of all processes that were waited for; other work stretches it less than the wall time."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watched(process: subprocess.Popen[bytes], limits: Limits) -> tuple[int, str | None]:
    """Wait for a process; its peak memory, and why it was ended where it was."""
    peak_bytes = 0
    started_s = time.perf_counter()
    try:
        while process.poll() is None:
            peak_bytes = max(peak_bytes, _peak_rss_bytes(process.pid))
            if peak_bytes > limits.peak_bytes:
                return peak_bytes, f"{ENDED} at its limit of {limits.peak_bytes / 1e9:.1f} GB"
            if time.perf_counter() - started_s > limits.seconds:
                return peak_bytes, f"{ENDED} after its limit of {limits.seconds:.0f} s"
            time.sleep(_POLL_S)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return peak_bytes, None


def _peak_rss_bytes(pid: int) -> int:
    """The high-water mark so far: what wait4 reports would include the parent's at the fork."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0]) * 1024 if marks else 0
