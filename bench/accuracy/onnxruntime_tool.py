"""onnxruntime's own quantizers, told by a JSON object; run by any interpreter that has them.

    python -m bench.accuracy.onnxruntime_tool MODEL CALIBRATION.npz OUT.onnx SETTINGS

`mode` is static or dynamic, `calibrate_method` MinMax, Percentile or Entropy; with `one_length` the
feeds of the commonest length alone are used: some methods fail on a mixture. The rest are arguments
of quantize_static or quantize_dynamic. The model goes through quant_pre_process first, as their
guide asks.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime.quantization as ort
from onnxruntime.quantization.shape_inference import quant_pre_process

from optimize.backends.inc_script import Feed, of_one_length, read_feeds

_EXTERNAL_FROM_BYTES = 1_000_000_000
"""From here on the weights lie beside the model: a protocol buffer holds 2 GB."""

_DATA_SUFFIX = ".data"
"""Where a model's own weights lie beside it; quant_pre_process takes them only to do the same."""


class Reader:
    """The calibration feeds as onnxruntime.quantization reads them; iterable for SmoothQuant."""

    def __init__(self, feeds: list[Feed]) -> None:
        self._feeds = feeds
        self._rest = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next feed, None at the end."""
        return next(self._rest, None)

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds)

    def __len__(self) -> int:
        return len(self._feeds)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Reader":
        return Reader(self._feeds)


def _main(model: Path, calibration: Path, out: Path, settings: dict[str, Any]) -> None:
    """Quantize and write the model; what the preparation writes is removed again."""
    mode, method = settings.pop("mode"), settings.pop("calibrate_method", None)
    skip = settings.pop("skip_symbolic_shape", False)
    feeds = read_feeds(calibration)
    if settings.pop("one_length", False):
        feeds = of_one_length(feeds)
    files = list(model.parent.glob(f"{model.name}*"))
    external = any(p.suffix == _DATA_SUFFIX for p in files)
    is_large = sum(p.stat().st_size for p in files) > _EXTERNAL_FROM_BYTES
    settings |= {"weight_type": ort.QuantType.QInt8, "use_external_data_format": is_large}
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        # Its SmoothQuant wants a string.
        prepared = str(Path(folder) / "prepared.onnx")
        quant_pre_process(model, prepared, skip_symbolic_shape=skip, save_as_external_data=external)
        if mode == "dynamic":
            ort.quantize_dynamic(prepared, out, **settings)
        else:
            ort.quantize_static(
                prepared,
                out,
                Reader(feeds),
                quant_format=ort.QuantFormat.QDQ,
                activation_type=ort.QuantType.QUInt8,
                calibrate_method=getattr(ort.CalibrationMethod, method),
                **settings,
            )


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:4]), json.loads(sys.argv[4]))
