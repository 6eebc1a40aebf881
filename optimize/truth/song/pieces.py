"""Whole pieces of a chain: encoded, generated and decoded from the prompts, with their seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.truth.audio_metrics import log_mel_spectrogram
from optimize.truth.free_running import floor_session
from optimize.truth.song.prompts import N_PROMPTS, Prompts
from optimize.truth.swap import variation_mask
from vampnet_models.chain.families import family_of_chain
from vampnet_models.chain.pipeline import Chain, vamp
from vampnet_models.chain.tokens import C2F_SAMPLING, COARSE_SAMPLING
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.progress import Progress
from vampnet_models.records.npz import read_npz, write_npz
from vampnet_models.spec import CHAIN_ROLES, Role


@dataclass(frozen=True)
class Pieces:
    """What a chain plays from each prompt.

    codes: int64 `[prompts, codebooks, frames]`.
    spectra: mean and standard deviation over time of each log-mel band, in dB, float64
        `[prompts, 2 * bands]`.
    """

    codes: NDArray[np.int64]
    spectra: NDArray[np.float64]

    def save_npz(self, path: Path) -> None:
        """Write them, atomically. Raises InputError where that fails."""
        write_npz(path, {"codes": self.codes, "spectra": self.spectra})


def load_pieces(path: Path) -> Pieces:
    """Read what `save_npz` wrote. Raises InputError or KeyError where something is not there."""
    stored = read_npz(path)
    return Pieces(stored["codes"], stored["spectra"])


def play(
    stages: Mapping[Role, Artifact],
    prompts: Prompts,
    *,
    other_seeds: bool = False,
    floor: bool = False,
    progress: Progress | None = None,
) -> Pieces:
    """A variation of each prompt: every seventh frame of the first three codebooks is kept.

    `stages` are the four models of a chain. With `other_seeds` none of the prompts' own is used;
    as `floor` all models run with one thread and no graph optimization. Raises InputError where one
    of them does not run.
    """
    opened = {role: _opened(stages[role], floor=floor) for role in CHAIN_ROLES}
    encoder, coarse, c2f, decoder = (opened[role] for role in CHAIN_ROLES)
    chain = Chain(encoder=encoder, coarse=coarse, c2f=c2f, decoder=decoder)
    rate_hz = family_of_chain(stages.values()).sample_rate_hz
    codes, spectra = [], []
    for done, each in enumerate(prompts.prompts):
        seed = each.seed + (N_PROMPTS if other_seeds else 0)
        # What a broken variant makes of infinity is no reason to stop.
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            sound, found = vamp(
                chain,
                each.samples,
                variation_mask,
                replace(COARSE_SAMPLING, seed=seed),
                replace(C2F_SAMPLING, seed=seed),
            )
        codes.append(found[0])
        spectra.append(_spectrum(np.nan_to_num(sound, posinf=0, neginf=0), rate_hz))
        if progress is not None:
            progress(done + 1, len(prompts.prompts))
    return Pieces(np.stack(codes), np.stack(spectra))


def _opened(artifact: Artifact, *, floor: bool) -> Session:
    return floor_session(artifact) if floor else open_session(artifact.path)


def _spectrum(sound: NDArray[Any], rate_hz: int) -> NDArray[np.float64]:
    bands = log_mel_spectrogram(sound, rate_hz).astype(np.float64)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)])
