"""A family of models: the numbers that its graphs, its feeds and its judges share.

They come from the checkpoint on import and travel in the metadata of every model made from it.
Files of other exporters carry none: their codecs are recognised by what they share with a family
of the list.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json

FAMILY_KEY = "vampbench.family"
"""Model metadata: a `Family` as JSON."""

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 768_000
"""Of any sound that is read or made."""

_MOST_NAME = 64
_MOST_TEXT = 4096
MAX_HOP_SAMPLES = 1 << 16
"""Of one frame of codes."""

_MOST_CODEBOOKS = 1024
_MOST_SIZE = 1 << 20
_MOST_WINDOW_S = 600


@dataclass(frozen=True)
class Family:
    """What is the same in every model of a family; no default, for a wrong one would be silent.

    `name`: what texts call it.
    `sample_rate_hz`: of the codec's audio, in Hz.
    `hop_samples`: samples of audio per frame of codes.
    `n_codebooks`: codebooks of the codec, coarse and fine together.
    `n_coarse_codebooks`: the first of them, which the coarse transformer writes; 0 for a codec
        without transformers.
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
    def frame_s(self) -> float:
        """Seconds of a frame of codes."""
        return self.hop_samples / self.sample_rate_hz

    @property
    def coarse_window_frames(self) -> int:
        """The most frames that the coarse transformer sees at once."""
        return -(-self.coarse_window_s * self.sample_rate_hz // self.hop_samples)

    @property
    def c2f_window_frames(self) -> int:
        """The most frames that the c2f transformer sees at once."""
        return -(-self.c2f_window_s * self.sample_rate_hz // self.hop_samples)

    @property
    def described(self) -> str:
        """For people: `VampNet (44,100 Hz, 768 samples a frame)`."""
        return f"{self.name} ({self.sample_rate_hz:,} Hz, {self.hop_samples} samples a frame)"

    def shares_codec(self, other: Family) -> bool:
        """Whether one codec's audio and codes serve both."""
        return _codec_of(self) == _codec_of(other)


def codec_family(
    name: str,
    sample_rate_hz: int,
    hop_samples: int,
    n_codebooks: int,
    codebook_size: int = 1024,
    codebook_dim: int = 8,
) -> Family:
    """A codec without transformers; masks and windows are as VampNet would have them."""
    return Family(
        name=name,
        sample_rate_hz=sample_rate_hz,
        hop_samples=hop_samples,
        n_codebooks=n_codebooks,
        n_coarse_codebooks=0,
        codebook_size=codebook_size,
        codebook_dim=codebook_dim,
        mask_token=codebook_size,
        coarse_window_s=10,
        c2f_window_s=3,
    )


VAMPNET = replace(codec_family("VampNet", 44_100, 768, 14), n_coarse_codebooks=4)

FAMILIES = (
    VAMPNET,
    codec_family("DAC 44.1 kHz", 44_100, 512, 9),
    codec_family("DAC 24 kHz", 24_000, 320, 32),
    codec_family("DAC 16 kHz", 16_000, 320, 12),
)
"""Those that are recognised without a word in the file: as published."""

TYPICAL = VAMPNET
"""Whose lengths a model is tried and weighed at while its own family is not known; nothing of its
seconds is said by them."""


def known_codec(
    n_codebooks: int | None, hop_samples: int | None, codebook_size: int | None = None
) -> Family | None:
    """The one family of the list whose codec has these numbers, of which some may be unknown."""
    found = [
        family
        for family in FAMILIES
        if (n_codebooks is None or family.n_codebooks == n_codebooks)
        and (hop_samples is None or family.hop_samples == hop_samples)
        and (codebook_size is None or family.codebook_size == codebook_size)
    ]
    return found[0] if len(found) == 1 else None


def family_text(family: Family) -> str:
    """The metadata that `read_family` reads."""
    return json.dumps(asdict(family))


def read_family(text: str) -> Family:
    """A family from a model's metadata. Raises InputError for one that no model can have."""
    try:
        values = parse_json(text) if len(text) <= _MOST_TEXT else None
    except ValueError:
        values = None
    names = [field.name for field in fields(Family)]
    if not isinstance(values, dict) or sorted(values) != sorted(names):
        raise _damaged(f"names other fields than {', '.join(names)}")
    for name, fits in _BOUNDS.items():
        if type(values[name]) is not int or not fits(values[name]):
            raise _damaged(f"its {name} is none that a model can have")
    name = values["name"]
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        raise _damaged(f"its name is no text of 1 to {_MOST_NAME} characters")
    family = Family(**values)
    if family.n_coarse_codebooks > family.n_codebooks:
        raise _damaged("it has more coarse codebooks than codebooks")
    return family


def _within(low: int, high: int) -> Callable[[int], bool]:
    return lambda value: low <= value <= high


_BOUNDS: dict[str, Callable[[int], bool]] = {
    "sample_rate_hz": _within(MIN_RATE_HZ, MAX_RATE_HZ),
    "hop_samples": _within(1, MAX_HOP_SAMPLES),
    "n_codebooks": _within(1, _MOST_CODEBOOKS),
    "n_coarse_codebooks": _within(0, _MOST_CODEBOOKS),
    "codebook_size": _within(1, _MOST_SIZE),
    "codebook_dim": _within(1, _MOST_SIZE),
    "mask_token": _within(0, _MOST_SIZE),
    "coarse_window_s": _within(1, _MOST_WINDOW_S),
    "c2f_window_s": _within(1, _MOST_WINDOW_S),
}


def _codec_of(family: Family) -> tuple[Any, ...]:
    return family.sample_rate_hz, family.hop_samples, family.codebook_size


def _damaged(reason: str) -> InputError:
    return InputError(
        f"its metadata {FAMILY_KEY} is damaged: {reason}; import its checkpoint again"
    )
