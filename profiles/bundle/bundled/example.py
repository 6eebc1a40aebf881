"""A variation of a 44.1 kHz mono WAV: `python example.py IN.wav OUT.wav` (onnxruntime, numpy)."""

import json
import os
import sys
import wave
from pathlib import Path

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the runtime is loaded
import onnxruntime as ort

given, made = sys.argv[1:] if len(sys.argv) == 3 else sys.exit(__doc__)
here = Path(__file__).resolve().parent
manifest, models = json.loads((here / "manifest.json").read_text(encoding="utf-8")), {}
for m in manifest["models"]:
    models[m["name"]] = ort.InferenceSession(here / m["file"], providers=[manifest["provider"]])
with wave.open(given) as file:
    if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (44100, 1, 2):
        sys.exit(f"{given}: give 16-bit mono at 44.1 kHz")
    sound = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32768)
audio = np.pad(sound, (0, -len(sound) % 768))[None, None].astype(np.float32)
codes = models["codec_encoder"].run(None, {"audio": audio})[0]  # [1, 14, frames]; best at -24 LUFS
mask = np.ones_like(codes)  # 1: to be predicted; of the first codebooks, keep every seventh frame
mask[:, :3, ::7] = 0
codes[:, :4] = models["coarse"].run(None, {"codes": codes[:, :4], "mask": mask[:, :4]})[1]  # a step
mask[:, :4] = 0  # more steps sound better
codes = models["c2f"].run(None, {"codes": codes, "mask": mask})[1]
decoded = models["codec_decoder"].run(None, {"codes": codes})[0][0, 0, : len(sound)]
with wave.open(made, "wb") as file:
    file.setparams((1, 2, 44100, 0, "NONE", ""))
    file.writeframes((np.clip(decoded, -1, 1) * 32767).astype(np.int16).tobytes())
