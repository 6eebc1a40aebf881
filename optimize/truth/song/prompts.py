"""What models and sets play from: pieces of the recordings that judge, each with a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from calibration.feeds.chain_feeds import Encoded, in_turn
from calibration.feeds.evidence import Place
from vampnet_models.chain.pipeline import Audio
from vampnet_models.chain.tokens import Codes
from vampnet_models.errors import InputError
from vampnet_models.family import Family
from vampnet_models.records.song import SongPrompts
from vampnet_models.text import plural

N_PROMPTS = 24
"""An interval needs 20 pieces, of 5 recordings."""

_SHORTEST_FRAMES = 43
"""Three quarters of a second: a shorter piece gives a model too little to go by."""


@dataclass(frozen=True)
class Prompt:
    """A piece of a recording.

    place: where it lies.
    samples: its sound, float32 `[n]` at the codec's rate.
    codes: the FP32 encoder's of the whole clip at its frames, int64 `[1, codebooks, frames]`.
    seed: of all that is drawn from it.
    """

    place: Place
    samples: Audio
    codes: Codes
    seed: int


@dataclass(frozen=True)
class Prompts:
    """Prompts of one length, `N_PROMPTS` of them: pieces come again, with other seeds."""

    frames: int
    prompts: tuple[Prompt, ...]

    @property
    def sha256(self) -> str:
        """The hash of all that is played from."""
        digest = hashlib.sha256()
        for each in self.prompts:
            digest.update(f"|{each.place}:{each.seed}:{each.codes.shape}|".encode())
            digest.update(each.codes.tobytes() + each.samples.tobytes())
        return digest.hexdigest()

    @property
    def record(self) -> SongPrompts:
        """What was used, for the results."""
        places = {each.place for each in self.prompts}
        return SongPrompts(
            frames=self.frames,
            n_prompts=len(self.prompts),
            n_pieces=len(places),
            n_recordings=len({place.recording for place in places}),
        )


def prompts_of(encoded: Encoded, family: Family) -> tuple[Prompts, ...]:
    """Prompts as long as c2f's window, and as long as the coarse model's where clips allow it.

    Where all clips are shorter than the first, prompts are as long as the longest clip. Raises
    InputError where that is too short, or there is no clip.
    """
    longest = max((codes.shape[2] for codes in encoded.codes), default=0)
    frames = min(family.c2f_window_frames, longest)
    if frames < _SHORTEST_FRAMES:
        raise InputError(
            f"same song: the longest clip that judges has {longest} frames of codes, one prompt "
            f"takes {_SHORTEST_FRAMES} ({_SHORTEST_FRAMES * family.frame_s:.2f} s); give longer "
            "recordings"
        )
    lengths = [frames]
    if frames < family.coarse_window_frames <= longest:
        lengths.append(family.coarse_window_frames)
    return tuple(Prompts(n, _prompts(encoded, n, family.hop_samples)) for n in lengths)


def _prompts(encoded: Encoded, frames: int, hop: int) -> tuple[Prompt, ...]:
    pieces = [
        (
            Place(clip.recording, clip.name, first),
            clip.samples[first * hop : (first + frames) * hop],
            codes[:, :, first : first + frames],
        )
        for clip, codes in zip(encoded.clips, encoded.codes, strict=True)
        for first in range(0, codes.shape[2] - frames + 1, frames)
    ]
    chosen = in_turn(pieces, N_PROMPTS, lambda piece: piece[0].recording)
    return tuple(Prompt(*chosen[seed % len(chosen)], seed) for seed in range(N_PROMPTS))


def told(prompts: Sequence[Prompts]) -> str:
    """What is played from, in a line."""
    each = (
        f"{plural(r.n_prompts, 'prompt')} of {r.frames} frames ({plural(r.n_pieces, 'piece')} of "
        f"{plural(r.n_recordings, 'recording')})"
        for r in (found.record for found in prompts)
    )
    return f"same song: from {' and '.join(each)}"
