"""AMD Quark's post-training INT8 of an ONNX model: run by the interpreter of `make env-quark`.

    python -m bench.accuracy.quark_tool MODEL CALIBRATION.npz OUT.onnx SETTINGS

SETTINGS is a JSON object: `calibrate_method` is MinMax, Percentile or MinMSE, `algorithms` maps
names of `quark.onnx.quantization.config.algorithm` (smooth_quant, adaround, adaquant,
auto_mixprecision) to their arguments; with `one_length` the feeds of the commonest length alone are
used, with `per_tensor` a weight has one scale, not one per channel. The rest are arguments of
QConfig. Activations are UInt8, weights Int8.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from quark.onnx import Int8Spec, Int16Spec, ModelQuantizer, QConfig, QLayerConfig, UInt8Spec
from quark.onnx.quantization.config import algorithm
from quark.onnx.quantization.config.spec import CalibMethod, QuantGranularity

from bench.accuracy.onnxruntime_tool import Reader
from optimize.backends.inc_script import of_one_length, read_feeds

_MIXED = "auto_mixprecision"


def _layers(activation: type, method: CalibMethod, per_tensor: bool) -> QLayerConfig:
    granularity = QuantGranularity.Tensor if per_tensor else QuantGranularity.Channel
    weight = Int8Spec(quant_granularity=granularity, calibration_method=method)
    return QLayerConfig(activation=activation(calibration_method=method), weight=weight)


def _algorithm(name: str, arguments: dict[str, Any], promoted: QLayerConfig) -> Any:
    if name == _MIXED:
        arguments = {"target_layer_config": promoted, **arguments}
    return algorithm.ALGO_NAME_TO_CLASS[name](**arguments)


def _main(model: Path, calibration: Path, out: Path, settings: dict[str, Any]) -> None:
    """Quantize and write the model; the tool's own files go to a folder that is removed."""
    how = CalibMethod[settings.pop("calibrate_method")], settings.pop("per_tensor", False)
    named = settings.pop("algorithms", {})
    # What is lost by 8 bits of activations is mended with 16.
    promoted = _layers(Int16Spec, *how)
    feeds = read_feeds(calibration)
    if settings.pop("one_length", False):
        feeds = of_one_length(feeds)
    config = QConfig(
        global_config=_layers(UInt8Spec, *how),
        algo_config=[_algorithm(name, given, promoted) for name, given in named.items()],
        **settings,
    )
    with tempfile.TemporaryDirectory(prefix="vampbench-quark-") as folder:
        os.chdir(folder)
        ModelQuantizer(config).quantize_model(str(model), str(out), Reader(feeds))
        os.chdir(out.parent)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:4]), json.loads(sys.argv[4]))
