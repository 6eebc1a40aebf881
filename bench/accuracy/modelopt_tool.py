"""NVIDIA ModelOpt's ONNX models: run by the interpreter of `make env-modelopt`.

    python -m bench.accuracy.modelopt_tool MODEL CALIBRATION.npz OUT.onnx SETTINGS

SETTINGS is a JSON object: `mode` is int8, or fp16 for AutoCast; with `one_length` the feeds of the
commonest length alone are used. The rest are arguments of modelopt.onnx.quantization.quantize or
modelopt.onnx.autocast.convert_to_mixed_precision.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from modelopt.onnx.autocast import convert_to_mixed_precision
from modelopt.onnx.quantization import quantize

from bench.accuracy.onnxruntime_tool import Reader
from optimize.backends.inc_script import Feed, of_one_length, read_feeds


class _RewindingReader(Reader):
    """What the tool wants of a reader beside onnxruntime's own."""

    def get_first(self) -> Feed:
        """The first feed, wherever the reader is."""
        return self._feeds[0]

    def rewind(self) -> None:
        """Begin again."""
        self._rest = iter(self._feeds)


def _main(model: Path, calibration: Path, out: Path, settings: dict[str, Any]) -> None:
    """Convert and write the model; the tool's own files go to a folder that is removed."""
    mode, feeds = settings.pop("mode"), read_feeds(calibration)
    if settings.pop("one_length", False):
        feeds = of_one_length(feeds)
    with tempfile.TemporaryDirectory(prefix="vampbench-modelopt-") as folder:
        os.chdir(folder)
        if mode == "fp16":
            np.savez("calibration.npz", **feeds[0])
            made = convert_to_mixed_precision(
                str(model), calibration_data="calibration.npz", **settings
            )
            onnx.save(made, out)
        else:
            quantize(
                str(model),
                quantize_mode=mode,
                calibration_data_reader=_RewindingReader(feeds),
                calibration_eps=["cpu"],
                output_path=str(out),
                **settings,
            )
        os.chdir(out.parent)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:4]), json.loads(sys.argv[4]))
