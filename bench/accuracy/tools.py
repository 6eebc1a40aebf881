"""The quantizers that `bench/accuracy/run.py` compares, and what each is told.

Every tool gets the same feeds and what its own documentation recommends for transformers: weights
per channel, products of two activations left in float, float outputs, SmoothQuant where it has it.
The settings are given to its process as they stand here, and stand in the record.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench import ROOT
from bench.accuracy.child import Limits, run_child
from bench.accuracy.ours import COMPARED
from optimize.backends.inc_script import settings as inc_settings
from vampnet_models.cache import Json
from vampnet_models.spec import Role

NOT_INSTALLED = "is not installed"
_TRANSFORMERS = (Role.COARSE, Role.C2F)


@dataclass(frozen=True)
class Tool:
    """A way to a smaller model: whose interpreter runs which script, with which settings.

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
_OURS_SCRIPT = ("-m", "bench.accuracy.ours")
_ORT_SCRIPT = ("-m", "bench.accuracy.onnxruntime_tool")
_NNCF_SCRIPT = ("-m", "bench.latency.nncf")
_INC_SCRIPT = ("-P", "optimize/backends/inc_script.py")

_QUARK_HERE, _MODELOPT, _AIMET = (
    ROOT / f".venv-{each}" / "bin" / "python" for each in ("quark", "modelopt", "aimet")
)
_QUARK_SCRIPT = ("-m", "bench.accuracy.quark_tool")
_MODELOPT_SCRIPT = ("-m", "bench.accuracy.modelopt_tool")
_AIMET_SCRIPT = ("-m", "bench.accuracy.aimet_tool")

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


_QUARK_HEAVY = [*_HEAVY, "ConvTranspose"]
_QUARK = {
    "OpTypesToQuantize": _QUARK_HEAVY,
    "MatMulConstBOnly": True,
    "OpTypesToExcludeOutputQuantization": _QUARK_HEAVY,
}
"""Float outputs as for quantize_static: with Quark's own defaults coarse keeps fewer tokens."""
_FINE_TUNED = {"num_iterations": 1000, "batch_size": 2, "early_stop": True}
"""Of AdaRound and AdaQuant, as Quark's presets A8W8_ADAROUND and A8W8_ADAQUANT have it."""

_SEARCHED = {
    "metric_default": "sqnr",
    "metric_threshold": -40,
    "metric_optimize_object": "quality",
}
"""From 8 bits to 16 bits of activations, the most sensitive first, until 40 dB SQNR are reached."""


def _quark(name: str, method: str, algorithms: Json, options: Json = _QUARK) -> Tool:
    # What optimizes a layer stacks what it sees of all feeds.
    settings = {"calibrate_method": method, "one_length": bool(algorithms)}
    settings |= {"algorithms": algorithms} if algorithms else {}
    return Tool(f"Quark, {name}", _QUARK_HERE, _QUARK_SCRIPT, settings=settings | options)


def _modelopt(name: str, settings: Json) -> Tool:
    return Tool(f"ModelOpt, {name}", _MODELOPT, _MODELOPT_SCRIPT, settings=settings)


def _modelopt_int8(method: str) -> Tool:
    # Its default keeps the weights in float beside their QuantizeLinear.
    settings = {"mode": "int8", "calibration_method": method, "dq_only": True}
    return _modelopt(f"int8, {method}", settings)


def _aimet(name: str, settings: Json) -> Tool:
    settings = {"param_type": "int8", "activation_type": "int8", **settings}
    return Tool(f"AIMET, {name}", _AIMET, _AIMET_SCRIPT, settings=settings)


TOOLS = (
    *(Tool(f"ours: {recipe}", _HERE, (*_OURS_SCRIPT, recipe)) for recipe in COMPARED),
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
    _quark("MinMSE", "MinMSE", {}),
    _quark("Percentile", "Percentile", {}),
    _quark("SmoothQuant", "MinMax", {"smooth_quant": {"alpha": 0.5}}),
    _quark("AdaRound", "MinMax", {"adaround": _FINE_TUNED}),
    _quark("AdaQuant", "MinMax", {"adaquant": _FINE_TUNED}),
    _quark(
        "mixed precision",
        "MinMax",
        {"auto_mixprecision": _SEARCHED},
        # Its search fails on float outputs, and on biases with a scale per channel.
        _QUARK | {"OpTypesToExcludeOutputQuantization": [], "per_tensor": True},
    ),
    _modelopt_int8("max"),
    _modelopt_int8("entropy"),
    _modelopt("AutoCast FP16", {"mode": "fp16", "keep_io_types": True}),
    # As many steps as for Quark: the 10,000 that it advises take hours on two cores.
    _aimet("AdaRound", {"adaround": {"num_iterations": 1000}}),
    # An error of 40 dB SQNR is allowed, as to Quark.
    _aimet("mixed precision", {"mixed": {"n_judged": 4, "allowed_accuracy_drop": 0.0001}}),
)


def recorded(tool: Tool, role: Role) -> Json:
    """The settings of a tool for models of this role, as the record has them."""
    found: Json = json.loads(json.dumps(tool.settings_for(role) or tool.told))
    return found


def make(
    tool: Tool, role: Role, source: Path, calibration: Path, out: Path, limits: Limits
) -> Json:
    """Run a tool: seconds and peak bytes of its process, or why it failed."""
    if not tool.interpreter.is_file():
        return {"failed": f"{tool.interpreter.parent.parent.name} {NOT_INSTALLED}"}
    files = [str(each.resolve()) for each in (source, calibration, out)]
    command = [str(tool.interpreter), *tool.command, *files, *tool.arguments]
    settings = tool.settings_for(role)
    if settings:
        command.append(json.dumps(settings))
    ran = run_child(command, out.with_name("log"), limits)
    cost = {
        "seconds": ran.seconds,
        "cpu_seconds": ran.cpu_seconds,
        "peak_rss_bytes": ran.peak_rss_bytes,
    }
    if ran.failed is not None:
        return {"failed": ran.failed, **cost}
    if not out.is_file():
        return {"failed": "ended well and wrote no model", **cost}
    # Its weights may lie beside the model; a record of how it was made is not part of it.
    beside = out.parent.glob(f"{out.stem}*")
    written = (each for each in beside if each.is_file() and each.suffix != ".json")
    return {**cost, "bytes": sum(each.stat().st_size for each in written)}
