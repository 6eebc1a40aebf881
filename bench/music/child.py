"""The timed process: one set, open.

python -m bench.music.child SET MODELS WORK THREADS
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.music.sets import RATE_HZ, SECONDS, STEMS, paths_of
from calibration.audio.samples import builtin_audio_set
from optimize.truth.swap import PERIOD_FRAMES
from vampnet_models.chain.pipeline import Chain, vamp
from vampnet_models.chain.tokens import periodic_mask
from vampnet_models.onnxfile.session import Array, Feeds, Session, open_session


class _Watched(Session):
    """A session that counts the seconds in its model."""

    spent_s = 0.0

    def run(self, feeds: Mapping[str, Array], outputs: Any = None) -> Feeds:
        """As a session's."""
        start_s = time.perf_counter()
        found = super().run(feeds, outputs)
        self.spent_s += time.perf_counter() - start_s
        return found


def serve(paths: list[Path], threads: int) -> None:
    """Vary the clip once for each line that comes in; the seconds of each part go out."""
    raw = [open_session(path, threads=threads, portable_instead=False) for path in paths]
    sessions = [_Watched(each.raw, each.name) for each in raw]
    clip = builtin_audio_set().evaluation[0].samples
    samples = np.resize(clip, SECONDS * RATE_HZ)
    encoder, coarse, c2f, decoder = sessions
    for _ in sys.stdin:
        for each in sessions:
            each.spent_s = 0.0
        start_s = time.perf_counter()
        vamp(Chain(encoder, coarse, c2f, decoder), samples, _mask)
        whole_s = time.perf_counter() - start_s
        spent = {stem: each.spent_s for stem, each in zip(STEMS, sessions, strict=True)}
        row = {"whole_s": whole_s, "sampler_s": whole_s - sum(spent.values()), **spent}
        print(json.dumps(row), flush=True)


def _mask(shape: tuple[int, ...]) -> Array:
    return periodic_mask(shape, PERIOD_FRAMES)


if __name__ == "__main__":
    _name, _models, _work, _threads = sys.argv[1:5]
    serve(paths_of(_name, Path(_models), Path(_work)), int(_threads))
