"""The built-in sample pack: clips of 6 s that ship with the package, in `pack/`.

Music of held-out works, speech-like sound, drums, noise, loops and near-silence: nothing that the
reference models were trained on, and no work on both sides. `pack.json` tells what each clip plays,
where it comes from and under which licence; `training/pack.py` made them.
"""

from __future__ import annotations

import hashlib
import io
import json
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import soundfile

from calibration.audio.clips import MASTER_RATE_HZ, AudioSet, Clip
from calibration.audio.decode import decode
from vampnet_models.onnxfile.artifact import beside, cannot_write

_SIDES = ("calibration", "evaluation")
PACK_CLIP_S = 3.0
"""What is heard of each by default: many works tell more than long ones."""


def builtin_audio_set(clip_s: float | None = PACK_CLIP_S) -> AudioSet:
    """The pack as an audio set: 14 clips to calibrate on, 26 of other works to judge on.

    Each is the first `clip_s` seconds (3 by default, None for all 6) of a recording of its own:
    float32 `[n]` at 44.1 kHz, rounded to 16 bits. Its hash is that of the file and the length:
    builds of libsndfile decode differently in the last bit.

    Raises InputError when a file of the pack is missing or cannot be read.
    """
    sides: dict[str, list[Clip]] = {side: [] for side in _SIDES}
    with as_file(files("calibration.audio") / "pack") as folder:
        for entry in json.loads((folder / "pack.json").read_text(encoding="utf-8")):
            sides[entry["side"]].append(_clip(folder, entry["name"], clip_s))
    calibration, evaluation = (tuple(sides[side]) for side in _SIDES)
    return AudioSet(name="builtin", calibration=calibration, evaluation=evaluation)


def _clip(folder: Path, name: str, clip_s: float | None) -> Clip:
    path = folder / f"{name}.ogg"
    decoded = decode(path).samples
    if clip_s is not None:
        decoded = decoded[: round(clip_s * MASTER_RATE_HZ)]
    steps = np.clip(np.round(decoded * 32768), -32768, 32767)
    sha256 = hashlib.sha256(path.read_bytes() + str(len(steps)).encode()).hexdigest()
    samples = (steps / 32768).astype(np.float32)
    return Clip(name, samples, sha256, "builtin", recording=name)


def write_samples(folder: Path) -> list[Path]:
    """Write the whole pack as 16-bit WAV files, each side into a folder of its own.

    Raises InputError when a folder cannot be written.
    """
    pack = builtin_audio_set(clip_s=None)
    written: list[Path] = []
    for side, clips in zip(_SIDES, (pack.calibration, pack.evaluation), strict=True):
        below = folder / side
        try:
            below.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(below, error) from error
        for clip in clips:
            steps = (clip.samples * 32768).astype(np.int16)
            # Made in memory: the library calls a full disk a "System error".
            sound = io.BytesIO()
            soundfile.write(sound, steps, MASTER_RATE_HZ, subtype="PCM_16", format="WAV")
            path = below / f"{clip.name}.wav"
            with beside(path) as staged:
                staged.write_bytes(sound.getbuffer())
            written.append(path)
    return written
