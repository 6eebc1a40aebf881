"""A mono WAV through the models: `python example.py IN.wav OUT.wav` (onnxruntime, numpy)."""

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
family = manifest["family"] or sys.exit("example.py: no model here takes or gives sound")
rate_hz, hop, n = (family[f] for f in ("sample_rate_hz", "hop_samples", "n_coarse_codebooks"))
with wave.open(given) as file:
    if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (rate_hz, 1, 2):
        sys.exit(f"{given}: give 16-bit mono at {rate_hz} Hz")
    sound = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32768)
audio = np.pad(sound, (0, -len(sound) % hop))[None, None].astype(np.float32)
codes = models["codec_encoder"].run(None, {"audio": audio})[0]  # [1, n, frames]; best at -24 LUFS
if "coarse" in models:  # a variation
    mask = np.ones_like(codes)  # 1: to be predicted; of the first ones, keep every seventh frame
    mask[:, :3, ::7] = 0
    codes[:, :n] = models["coarse"].run(None, {"codes": codes[:, :n], "mask": mask[:, :n]})[1]
    mask[:, :n] = 0  # that was a step; more sound better
    codes = models["c2f"].run(None, {"codes": codes, "mask": mask})[1]
decoded = models["codec_decoder"].run(None, {"codes": codes})[0][0, 0, : len(sound)]
with wave.open(made, "wb") as file:
    file.setparams((1, 2, rate_hz, 0, "NONE", ""))
    file.writeframes((np.clip(decoded, -1, 1) * 32767).astype(np.int16).tobytes())
