"""The form and the level of all training audio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.audio.loudness import normalise_loudness
from training.config import SAMPLE_RATE_HZ

Audio = NDArray[np.float32]
"""Mono samples at 44.1 kHz."""


def normalise(audio: Audio) -> Audio:
    """`[samples]` at -24 LUFS and a peak of at most 1, as every feed of the encoder."""
    return normalise_loudness(audio, SAMPLE_RATE_HZ)
