"""`python -m training.spectrograms --out FOLDER`: originals and reconstructions side by side.

One PNG per held-out recording, for the eye: the log-mel spectrum of the original, of the
reconstruction from all codebooks and from the four coarse ones, in the same colours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.config import N_COARSE, SAMPLE_RATE_HZ
from training.data.audio import Audio
from training.data.held_out import held_out_recordings
from training.data.tokens import encode
from training.evaluate import SHIPPED, load_codec
from training.figures.evaluate_codec import reconstruct
from training.figures.metrics import HOP, MEL_FLOOR_DB, log_mel_db
from training.networks.codec import Codec

_TOP_DB = 30.0
TITLE_PX, GAP_PX, SCALE = 16, 8, 2
# From black through violet and orange to pale yellow: brightness alone tells the level.
_COLOURS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))


def shades(level_db: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decibels `[bands, frames]` as RGB `[bands, frames, 3]`, low bands at the bottom."""
    place = np.clip((level_db[::-1] - MEL_FLOOR_DB) / (_TOP_DB - MEL_FLOOR_DB), 0.0, 1.0)
    stops = np.linspace(0.0, 1.0, len(_COLOURS))
    channels = [np.interp(place, stops, [colour[i] for colour in _COLOURS]) for i in range(3)]
    return np.stack(channels, -1).astype(np.uint8)


def _panels(codec: Codec, audio: Audio) -> dict[str, Audio]:
    """The original and its reconstructions, by title."""
    codes = encode(codec, audio)
    return {
        "original": audio,
        f"{len(codes)} codebooks": reconstruct(codec, audio, codes),
        f"{N_COARSE} codebooks": reconstruct(codec, audio, codes[:N_COARSE]),
    }


def side_by_side(named: dict[str, Audio]) -> Image.Image:
    """One picture, a panel per audio, left to right; all have the same length."""
    pictures = [shades(log_mel_db(audio)) for audio in named.values()]
    bands, frames, _ = pictures[0].shape
    width, height = frames * SCALE, bands * SCALE * 2
    whole = Image.new("RGB", (len(pictures) * (width + GAP_PX) - GAP_PX, height + TITLE_PX))
    draw = ImageDraw.Draw(whole)
    for index, (title, picture) in enumerate(zip(named, pictures, strict=True)):
        left = index * (width + GAP_PX)
        resized = Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)
        whole.paste(resized, (left, TITLE_PX))
        draw.text((left + 2, 2), title)
    return whole


def _main() -> None:
    """Write `<recording>.png` of the first seconds of every held-out recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--audio", type=Path, default=Path("../shared/audio"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    codec = load_codec(options.weights)
    options.out.mkdir(parents=True, exist_ok=True)
    samples = int(options.seconds * SAMPLE_RATE_HZ) // HOP * HOP
    for name, audio in held_out_recordings(options.audio).items():
        path = options.out / f"{name}.png"
        side_by_side(_panels(codec, audio[:samples])).save(path)
        print(path)


if __name__ == "__main__":
    _main()
