"""The timed process: one set, open.

    PYTHON -m bench.music.child SET MODELS WORK THREADS

It varies the clip once for each line that comes in, and answers with the seconds of each part as a
line of JSON. The sets of PyTorch need an interpreter that has it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.music.sets import RATE_HZ, SECONDS, STEMS, TORCH_SETS, paths_of
from calibration.audio.samples import builtin_audio_set
from optimize.truth.swap import PERIOD_FRAMES
from vampnet_models.chain.pipeline import Audio, Chain, vamp
from vampnet_models.chain.tokens import periodic_mask
from vampnet_models.onnxfile.session import Array, Feeds, Session, open_session


class _Stage(Protocol):
    """A model that counts the seconds in it."""

    spent_s: float


class _Watched(Session):
    """A session that counts the seconds in its model."""

    spent_s = 0.0

    def run(self, feeds: Mapping[str, Array], outputs: Any = None) -> Feeds:
        """As a session's."""
        start_s = time.perf_counter()
        found = super().run(feeds, outputs)
        self.spent_s += time.perf_counter() - start_s
        return found


@dataclass(frozen=True)
class _Set:
    """An open set: its models in the order of `STEMS`, and what varies samples by them."""

    stages: Sequence[_Stage]
    vary: Callable[[Audio], object]


def _onnx_set(paths: list[Path], threads: int) -> _Set:
    raw = [open_session(path, threads=threads, portable_instead=False) for path in paths]
    sessions = [_Watched(each.raw, each.name) for each in raw]
    encoder, coarse, c2f, decoder = sessions
    chain = Chain(encoder, coarse, c2f, decoder)
    return _Set(sessions, lambda samples: vamp(chain, samples, _mask))


def _torch_set(models: Path, threads: int, compiled: bool) -> _Set:
    import torch

    from bench.music.networks import load_networks
    from bench.music.torch_chain import chain_of, vary

    torch.set_num_threads(threads)
    chain = chain_of(load_networks(models), compiled=compiled)
    return _Set(
        chain.stages,
        lambda samples: vary(
            chain, torch.from_numpy(samples), lambda shape: torch.from_numpy(_mask(shape))
        ),
    )


def _mask(shape: tuple[int, ...]) -> Array:
    return periodic_mask(shape, PERIOD_FRAMES)


def _main(name: str, models: Path, work: Path, threads: int) -> None:
    # What libraries print must not mix into the answers.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if name in TORCH_SETS:
        opened = _torch_set(models, threads, TORCH_SETS[name] == "compiled")
    else:
        opened = _onnx_set(paths_of(name, models, work), threads)
    samples = np.resize(builtin_audio_set().evaluation[0].samples, SECONDS * RATE_HZ)
    for _ in sys.stdin:
        for each in opened.stages:
            each.spent_s = 0.0
        start_s = time.perf_counter()
        opened.vary(samples)
        whole_s = time.perf_counter() - start_s
        spent = {stem: each.spent_s for stem, each in zip(STEMS, opened.stages, strict=True)}
        row = {"whole_s": whole_s, "sampler_s": whole_s - sum(spent.values()), **spent}
        replies.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
