"""The answers of an OpenVINO model: run by the interpreter of the extra `bench`.

    python -m bench.accuracy.openvino_answers MODEL.xml FEEDS.npz OUT.npz

Both archives hold arrays as `NAME/0`, `NAME/1`, ...
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov

from optimize.backends.inc_script import read_feeds


def _main(model: Path, feeds: Path, out: Path) -> None:
    """Run every feed and write all outputs."""
    compiled = ov.Core().compile_model(model, "CPU")
    answers = {}
    for number, feed in enumerate(read_feeds(feeds)):
        for port, value in compiled(feed).items():
            answers[f"{port.get_any_name()}/{number}"] = np.array(value)
    np.savez(out, **answers)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:4]))
