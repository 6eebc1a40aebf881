"""AIMET's post-training INT8 of an ONNX model: run by the interpreter of `make env-aimet`.

    python -m bench.accuracy.aimet_tool MODEL CALIBRATION.npz OUT.onnx SETTINGS

SETTINGS is a JSON object: `adaround` holds arguments of aimet_onnx.apply_adaround; `mixed` the
`allowed_accuracy_drop` of its automatic mixed precision, from 16 bits of activations down to 8,
which is judged on the first `n_judged` feeds by the share of the outputs' power that is error. The
rest are arguments of QuantizationSimModel. The simulation is written with QDQ pairs.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aimet_onnx
import numpy as np
import onnx
import onnxruntime as ort
from aimet_onnx.common.defs import CallbackFunc, QuantizationDataType
from aimet_onnx.mixed_precision import choose_mixed_precision

from optimize.backends.inc_script import Feed, read_feeds

_WEIGHTS = (8, QuantizationDataType.int)
_CANDIDATES = [((bits, QuantizationDataType.int), _WEIGHTS) for bits in (16, 8)]


def _run(session: ort.InferenceSession, feeds: list[Feed]) -> None:
    for feed in feeds:
        session.run(None, feed)


def _kept(model: Path, feeds: list[Feed]) -> Callable[[ort.InferenceSession, None], float]:
    """What the search calls accuracy: 1 for the float model's own answers, 0 for silence."""
    session = ort.InferenceSession(str(model))
    float_outputs = [each.name for each in session.get_outputs() if each.type == "tensor(float)"]
    names = float_outputs or [each.name for each in session.get_outputs()]
    own = [session.run(names, feed) for feed in feeds]

    def score(variant: ort.InferenceSession, _: None) -> float:
        shares = []
        for feed, truths in zip(feeds, own, strict=True):
            for truth, answer in zip(truths, variant.run(names, feed), strict=True):
                if np.issubdtype(truth.dtype, np.integer):
                    shares.append(float((truth != answer).mean()))
                else:
                    error = np.square(answer - truth, dtype=np.float64).sum()
                    shares.append(float(error / np.square(truth, dtype=np.float64).sum()))
        return 1.0 - float(np.mean(shares))

    return score


def _main(model: Path, calibration: Path, out: Path, settings: dict[str, Any]) -> None:
    """Quantize and write the model; the tool's own files go to a folder that is removed."""
    feeds = read_feeds(calibration)
    adaround, mixed = settings.pop("adaround", None), settings.pop("mixed", None)
    with tempfile.TemporaryDirectory(prefix="vampbench-aimet-") as folder:
        os.chdir(folder)
        sim = aimet_onnx.QuantizationSimModel(onnx.load(model), dummy_input=feeds[0], **settings)
        if adaround is not None:
            aimet_onnx.apply_adaround(sim, feeds, **adaround)
        sim.compute_encodings(feeds)
        if mixed is not None:
            score = CallbackFunc(_kept(model, feeds[: mixed["n_judged"]]))
            choose_mixed_precision(
                sim,
                _CANDIDATES,
                eval_callback_for_phase1=score,
                eval_callback_for_phase2=score,
                allowed_accuracy_drop=mixed["allowed_accuracy_drop"],
                results_dir=folder,
                clean_start=True,
                forward_pass_callback=CallbackFunc(_run, feeds),
            )
        onnx.save(sim.to_onnx_qdq(prequantize_constants=True), out)
        os.chdir(out.parent)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:4]), json.loads(sys.argv[4]))
