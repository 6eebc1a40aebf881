"""The project's own synthesised sounds, at seeds that no calibration or evaluation uses."""

from __future__ import annotations

import numpy as np

from calibration.audio.samples import sample_pack
from training.data.audio import Audio

# The pack that ships for calibration and evaluation is seed 0.
_FIRST_SEED = 1000


def pack_tracks(count: int) -> list[Audio]:
    """`count` tracks `[16 * 4 s]`, each the sixteen clips of one seed end to end."""
    return [
        np.concatenate([clip.samples for clip in sample_pack(_FIRST_SEED + index)])
        for index in range(count)
    ]
