"""NNCF's post-training INT8 of a model, for OpenVINO: run by the interpreter of the extra `bench`.

    python -m bench.latency.nncf MODEL CALIBRATION.npz OUT.xml [SETTINGS]

SETTINGS is a JSON object: `preset`, `model_type` and `fast_bias_correction` of nncf.quantize.
Without it NNCF's own defaults hold, as transformer where the inputs are codes and mask. The archive
holds feeds as `INPUT/0`, `INPUT/1`, ...
"""

import json
import sys
from pathlib import Path
from typing import Any

import nncf
import openvino as ov

from optimize.backends.inc_script import read_feeds


def _main(model: Path, calibration: Path, out: Path, settings: dict[str, Any] | None) -> None:
    """Quantize and write the model with its weights."""
    samples = read_feeds(calibration)
    if settings is None:
        settings = {"model_type": "transformer"} if "mask" in samples[0] else {}
    given = dict(settings)
    if "preset" in given:
        given["preset"] = nncf.QuantizationPreset(given["preset"])
    if "model_type" in given:
        given["model_type"] = nncf.ModelType(given["model_type"])
    quantized = nncf.quantize(
        ov.Core().read_model(model), nncf.Dataset(samples), subset_size=len(samples), **given
    )
    ov.save_model(quantized, out, compress_to_fp16=False)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:4]), json.loads(sys.argv[4]) if len(sys.argv) > 4 else None)
