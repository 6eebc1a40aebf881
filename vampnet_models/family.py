"""A family of models: the numbers that its graphs, its feeds and its judges share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """What is the same in every model of a family; no default, for a wrong one would be silent.

    `name`: what texts call it.
    `sample_rate_hz`: of the codec's audio, in Hz.
    `hop_samples`: samples of audio per frame of codes.
    `n_codebooks`: codebooks of the codec, coarse and fine together.
    `n_coarse_codebooks`: the first of them, which the coarse transformer writes.
    `codebook_size`: codes per codebook.
    `codebook_dim`: values per code of a codebook.
    `mask_token`: the code that stands for "to be written".
    `coarse_window_s`, `c2f_window_s`: the seconds that the transformers see at once.
    """

    name: str
    sample_rate_hz: int
    hop_samples: int
    n_codebooks: int
    n_coarse_codebooks: int
    codebook_size: int
    codebook_dim: int
    mask_token: int
    coarse_window_s: int
    c2f_window_s: int

    @property
    def coarse_window_frames(self) -> int:
        """The most frames that the coarse transformer sees at once."""
        return -(-self.coarse_window_s * self.sample_rate_hz // self.hop_samples)

    @property
    def c2f_window_frames(self) -> int:
        """The most frames that the c2f transformer sees at once."""
        return -(-self.c2f_window_s * self.sample_rate_hz // self.hop_samples)


VAMPNET = Family(
    name="VampNet",
    sample_rate_hz=44_100,
    hop_samples=768,
    n_codebooks=14,
    n_coarse_codebooks=4,
    codebook_size=1024,
    codebook_dim=8,
    mask_token=1024,
    coarse_window_s=10,
    c2f_window_s=3,
)
