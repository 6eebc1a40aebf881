"""An OpenVINO model that answers feeds: run by the interpreter of `make env-bench`.

    python -m bench.accuracy.openvino_answers MODEL.xml

Reads lines `FEED.npz ANSWER.npz` and writes the answer to each; then says so with a line.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov


def _main(model: Path) -> None:
    """Answer one feed after the other, until there are no more."""
    compiled = ov.Core().compile_model(model, "CPU")
    for line in sys.stdin:
        feed, answer = line.split()
        with np.load(feed) as archive:
            given = {name: archive[name] for name in archive.files}
        found = {port.get_any_name(): np.array(each) for port, each in compiled(given).items()}
        np.savez(answer, **found)
        print("answered", flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
