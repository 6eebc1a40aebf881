"""A variation of a 44.1 kHz mono WAV: `python example.py IN.wav OUT.wav` (onnxruntime, numpy)."""

import json
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

here = Path(__file__).resolve().parent
manifest = json.loads((here / "manifest.json").read_text(encoding="utf-8"))


def run(name: str, **feeds: Any) -> Any:
    """Open one model and run it once."""
    path = str(here / "models" / f"{name}.onnx")
    return ort.InferenceSession(path, providers=[manifest["provider"]]).run(None, feeds)


with wave.open(sys.argv[1]) as file:
    if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (44100, 1, 2):
        sys.exit(f"{sys.argv[1]}: give 16-bit mono at 44.1 kHz")
    sound = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32768)
audio = np.pad(sound, (0, -len(sound) % 768))[None, None].astype(np.float32)
codes = run("codec_encoder", audio=audio)[0]  # int64 [1, 14, frames]; loudness should be -24 LUFS
mask = np.ones_like(codes)  # 1: to be predicted
mask[:, :3, ::7] = 0  # of the first codebooks, keep every seventh frame
codes[:, :4] = run("coarse", codes=codes[:, :4], mask=mask[:, :4])[1]  # one step; more sound better
mask[:, :4] = 0
codes = run("c2f", codes=codes, mask=mask)[1]
decoded = run("codec_decoder", codes=codes)[0][0, 0, : len(sound)]
with wave.open(sys.argv[2], "wb") as file:
    file.setparams((1, 2, 44100, 0, "NONE", ""))
    file.writeframes((np.clip(decoded, -1, 1) * 32767).astype(np.int16).tobytes())
