"""A mono WAV through the models: `python example.py IN.wav OUT.wav` (onnxruntime, numpy)."""

import json
import sys
import wave
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np

_TYPES = {
    "tensor(float)": "f4",
    "tensor(float16)": "f2",
    "tensor(int32)": "i4",
    "tensor(bool)": "?",
}
given, made = sys.argv[1:] if len(sys.argv) == 3 else sys.exit(__doc__)
if not Path(made).absolute().parent.is_dir():
    sys.exit(f"{made}: its folder does not exist; make it, or give another file")
here = Path(__file__).resolve().parent
manifest = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
sessions = run_path(str(here / "open_models.py"))["open_models"]()
models = {m["role"]: (sessions[m["name"]], m["output"]) for m in manifest["models"]}
if not manifest["family"] or not {"codec-encoder", "codec-decoder"} <= models.keys():
    sys.exit("example.py: needs an encoder and a decoder of one codec; this bundle lacks them")
family = manifest["family"]
rate_hz, hop, n = (family[f] for f in ("sample_rate_hz", "hop_samples", "n_coarse_codebooks"))


def answer(role: str, values: Any, mask: Any = None) -> Any:
    """What a model makes of its values, under whatever names it has for them."""
    feeds, (session, output) = {}, models[role]
    for i in session.get_inputs():
        masks = mask is not None and ("mask" in i.name.lower() or "int" not in i.type)
        value = np.ones(i.shape) if len(i.shape) < 2 else mask if masks else values  # 1: as trained
        feeds[i.name] = value.astype(_TYPES.get(i.type, "i8"))
    return session.run([output], feeds)[0]


try:
    with Path(given).open("rb") as file, wave.open(file) as wav:
        if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (rate_hz, 1, 2):
            sys.exit(f"{given}: give 16-bit mono at {rate_hz} Hz")
        sound = np.frombuffer(wav.readframes(wav.getnframes()), np.int16) / np.float32(32768)
except (OSError, EOFError, wave.Error) as error:
    sys.exit(f"{given}: is no WAV that can be read: {getattr(error, 'strerror', 0) or error}")
codes = answer("codec-encoder", np.pad(sound, (0, -len(sound) % hop))[None, None])  # at -24 LUFS
if {"coarse", "c2f"} <= models.keys():  # a variation
    mask = np.ones_like(codes)  # 1: to be predicted; of the first ones, keep every seventh frame
    mask[:, :3, ::7] = 0
    codes[:, :n] = answer("coarse", codes[:, :n], mask[:, :n])
    mask[:, :n] = 0  # that was a step; more sound better
    codes = answer("c2f", codes, mask)
decoded = answer("codec-decoder", codes)[0, 0, : len(sound)]
with wave.open(made, "wb") as out:
    out.setparams((1, 2, rate_hz, 0, "NONE", ""))
    out.writeframes((np.clip(decoded, -1, 1) * 32767).astype(np.int16).tobytes())
