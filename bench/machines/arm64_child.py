"""Runs under an emulated ARM64 Python that has onnxruntime and numpy alone.

    python3 arm64_child.py JOBS.json

JOBS is a list of {name, model, feeds, outputs}: the models are run on each state of `feeds`
(`STATE/INPUT` arrays), all outputs written as `STATE/OUTPUT`. Prints a line of JSON per job.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the runtime is loaded
import onnxruntime as ort


def run(model: str, feeds: str, outputs: str) -> list[float]:
    """Seconds of each state."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    states: dict[str, dict[str, np.ndarray]] = {}
    with np.load(feeds) as archive:
        for key in archive.files:
            state, _, name = key.partition("/")
            states.setdefault(state, {})[name] = archive[key]
    found, seconds = {}, []
    for state, inputs in states.items():
        start = time.perf_counter()
        values = session.run(None, inputs)
        seconds.append(time.perf_counter() - start)
        found.update({f"{state}/{name}": value for name, value in zip(names, values, strict=True)})
    np.savez(outputs, allow_pickle=False, **found)
    return seconds


def _main() -> int:
    """Every job; one that fails does not stop the others."""
    for job in json.loads(Path(sys.argv[1]).read_text()):
        try:
            said = {"seconds": run(job["model"], job["feeds"], job["outputs"])}
        except Exception as error:  # noqa: BLE001
            # The binding raises a class per status code; the parent names the model.
            said = {"error": " ".join(str(error).split())[-300:]}
        print(json.dumps({"name": job["name"], **said}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
