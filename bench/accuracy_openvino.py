"""The answers of an OpenVINO model: run by the interpreter of the extra `bench`.

python bench/accuracy_openvino.py MODEL.xml FEEDS.npz OUT.npz

Both archives hold arrays as `NAME/0`, `NAME/1`, ...
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov


def main(model: Path, feeds_path: Path, out: Path) -> None:
    """Run every feed and write all outputs."""
    with np.load(feeds_path) as archive:
        feeds: dict[str, dict[str, object]] = {}
        for key in (k for k in archive.files if "/" in k):
            name, _, number = key.rpartition("/")
            feeds.setdefault(number, {})[name] = archive[key]
    compiled = ov.Core().compile_model(model, "CPU")
    answers = {}
    for number, feed in feeds.items():
        for port, value in compiled(feed).items():
            answers[f"{port.get_any_name()}/{number}"] = np.array(value)
    np.savez(out, **answers)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
