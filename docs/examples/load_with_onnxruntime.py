"""Encode, fill in masked tokens and decode with onnxruntime and numpy alone.

python load_with_onnxruntime.py MODELS_DIR
"""

import os
import sys
from pathlib import Path

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the runtime is loaded
import onnxruntime as ort

models = Path(sys.argv[1])


def run(name: str, **feeds: np.ndarray) -> list[np.ndarray]:
    """Open one model and run it once."""
    session = ort.InferenceSession(models / f"{name}.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


time_s = np.arange(2 * 44_100) / 44_100
audio = (0.3 * np.sin(2 * np.pi * 220 * time_s)).astype(np.float32)[None, None]

(codes,) = run("codec_encoder", audio=audio)  # int64 [1, 14, frames]
mask = np.ones_like(codes[:, :4])  # 1: to be predicted
mask[:, :, ::7] = 0  # keep every seventh frame
_, coarse = run("coarse", codes=codes[:, :4], mask=mask)  # logits, tokens
codes[:, :4] = coarse
fine_mask = np.ones_like(codes)
fine_mask[:, :4] = 0
_, tokens = run("c2f", codes=codes, mask=fine_mask)
(decoded,) = run("codec_decoder", codes=tokens)  # float32 [1, 1, samples]
print(f"{audio.shape[-1]} samples -> {tokens.shape[-1]} frames -> {decoded.shape[-1]} samples")
