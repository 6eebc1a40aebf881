"""NNCF's post-training INT8 of a model, for OpenVINO: run by the interpreter of the extra `bench`.

python bench/latency_nncf.py MODEL CALIBRATION.npz OUT.xml

The archive holds feeds as `INPUT/0`, `INPUT/1`, ...
"""

import sys
from pathlib import Path

import nncf
import numpy as np
import openvino as ov


def main(model: Path, calibration: Path, out: Path) -> None:
    """Quantize with NNCF's own defaults, as transformer where the inputs are codes and mask."""
    with np.load(calibration) as archive:
        feeds: dict[str, dict[str, object]] = {}
        for key in (k for k in archive.files if "/" in k):
            name, _, number = key.rpartition("/")
            feeds.setdefault(number, {})[name] = archive[key]
    samples = list(feeds.values())
    kind = nncf.ModelType.TRANSFORMER if "mask" in samples[0] else None
    graph = ov.Core().read_model(model)
    quantized = nncf.quantize(
        graph, nncf.Dataset(samples), subset_size=len(samples), model_type=kind
    )
    ov.save_model(quantized, out, compress_to_fp16=False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
