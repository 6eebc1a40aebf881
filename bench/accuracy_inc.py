"""Neural Compressor's static INT8 of a model: run by the interpreter of `make env-inc`.

python bench/accuracy_inc.py MODEL CALIBRATION.npz OUT.onnx [smooth]

The archive holds feeds as `INPUT/0`, `INPUT/1`, ...
"""

import sys
from collections.abc import Iterator

import numpy as np
import onnx
from neural_compressor import PostTrainingQuantConfig, quantization


class Loader:
    """Feeds as Neural Compressor reads them: a batch of one, with a label that nothing reads."""

    batch_size = 1

    def __init__(self, feeds: list[dict[str, np.ndarray]]) -> None:
        self._feeds = feeds

    def __iter__(self) -> Iterator[tuple[dict[str, np.ndarray], int]]:
        for feed in self._feeds:
            yield feed, 0

    def __len__(self) -> int:
        return len(self._feeds)


def main(model: str, calibration: str, out: str, smooth: str = "") -> None:
    """Quantize MatMuls and convolutions with the tool's own defaults, or with SmoothQuant."""
    with np.load(calibration) as archive:
        feeds: dict[str, dict[str, np.ndarray]] = {}
        for key in (k for k in archive.files if "/" in k):
            name, _, number = key.rpartition("/")
            feeds.setdefault(number, {})[name] = archive[key]
    samples = list(feeds.values())
    config = PostTrainingQuantConfig(
        approach="static",
        quant_format="QDQ",
        calibration_sampling_size=len(samples),
        recipes={"smooth_quant": bool(smooth)},
    )
    made = quantization.fit(model=model, conf=config, calib_dataloader=Loader(samples))
    if made is None:
        raise SystemExit("neural-compressor gave no model")
    onnx.save(made.model, out)


if __name__ == "__main__":
    main(*sys.argv[1:5])
