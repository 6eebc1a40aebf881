"""`python -m training.pack --work FOLDER --out FOLDER`: the sample pack, from what is held out.

Clips of 6 s, 14 to calibrate on and 26 to judge on, as Ogg Vorbis at -24 LUFS: of works, each of
them once, and one clip each of speech, percussion, wide-band noise, loops and near-silence.
`pack.json` beside them tells what each is. `calibration/audio/pack` holds what this wrote.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import soundfile

from training.config import SAMPLE_RATE_HZ
from training.data.arrange import arrangement
from training.data.audio import Audio, normalise
from training.data.noise import noise
from training.data.render import drum_solo, rendition
from training.data.scores import COLLECTIONS, HELD_OUT_WORKS, Work, cached_scores, tune_keys
from training.data.sounds import sounds
from training.data.speech import speech

# One work more than clips of works: the last of each side rises out of near-silence.
WORKS_OF_SIDES: Mapping[str, int] = {"calibration": 10, "evaluation": 22}
CLIP_S = 6.0
_PLAYED_S = 15.0
# Far from every seed of the training side.
_SEED = 700_000_000
_HISS_DB, _QUIET_DB, _QUIET_S, _LOUD_S = -72.0, -24.0, 2.0, 4.0
# Of libsndfile, 0 to 1: bands up to 20 kHz, at about 100 kbit/s.
_COMPRESSION = 0.3
_SCORE, _FONT = "score from music21's corpus", "FluidSynth and FluidR3"
_FREE, _MIT, _CC0 = "public domain; MIT (FluidR3)", "MIT, as this project", "CC0 1.0"


@dataclass(frozen=True)
class PackClip:
    """A clip of the pack.

    `name` is its file's, without the ending; `plays` the work, or what kind of sound it is;
    `source` where the sound comes from, under which `licence`.
    """

    name: str
    side: str
    plays: str
    source: str
    licence: str
    samples: Audio


def whole_of(work: Work) -> str:
    """What a movement, or a piece of a cycle, belongs to (`haydn/opus74no1`); else its own name."""
    return next((each for each in HELD_OUT_WORKS if work.name.startswith(each)), work.name)


def works_of_sides(works: list[Work], seed: int = _SEED) -> dict[str, list[Work]]:
    """Held-out works for either side, of as many collections as there are in turn.

    One movement of a work, and a tune once, whatever book it stands in.
    """
    rng = np.random.default_rng(seed)
    by_collection: dict[str, dict[str, list[Work]]] = {}
    for work in works:
        if work.side == "held_out":
            of_work = by_collection.setdefault(work.collection, {})
            of_work.setdefault(whole_of(work), []).append(work)
    turns = {
        name: [wholes[key] for key in rng.permutation(sorted(wholes))]
        for name, wholes in sorted(by_collection.items())
    }
    chosen: dict[str, list[Work]] = {side: [] for side in WORKS_OF_SIDES}
    known: set[str] = set()
    while any(turns.values()) and any(_missing(chosen).values()):
        for name in [name for name, left in turns.items() if left]:
            missing = _missing(chosen)
            movements = turns[name].pop()
            work = movements[rng.integers(len(movements))]
            keys = tune_keys(work.name, work.notes)
            if known.isdisjoint(keys):
                known.update(keys)
                # The side that lacks more, in proportion, takes the next one.
                side = max(missing, key=lambda each: missing[each])
                if missing[side]:
                    chosen[side].append(work)
    return chosen


def _missing(chosen: dict[str, list[Work]]) -> dict[str, float]:
    """The share of its works that each side has not yet."""
    return {side: 1.0 - len(chosen[side]) / n for side, n in WORKS_OF_SIDES.items()}


def out_of_silence(phrase: Audio, seed: int) -> Audio:
    """Hiss at -72 dB; after 2 s `phrase` `[samples]`, 24 dB down, and from 4 s on as it is."""
    quiet_at, loud_at = (int(at_s * SAMPLE_RATE_HZ) for at_s in (_QUIET_S, _LOUD_S))
    gain = np.zeros(len(phrase))
    gain[quiet_at:loud_at] = 10.0 ** (_QUIET_DB / 20.0)
    gain[loud_at:] = 1.0
    hiss = np.random.default_rng(seed).standard_normal(len(phrase)) * 10.0 ** (_HISS_DB / 20.0)
    return np.asarray(phrase * gain + hiss, np.float32)


def _loudest(audio: Audio) -> Audio:
    """The loudest 6 s that begin at a whole second: a rendition may open with a rest."""
    length = int(CLIP_S * SAMPLE_RATE_HZ)
    starts = range(0, len(audio) - length + 1, SAMPLE_RATE_HZ)
    return max((audio[at : at + length] for at in starts), key=lambda x: float(np.mean(x**2)))


def _name_of(work: Work) -> str:
    """Of a book the book and the title, else what its file is called: words joined by hyphens."""
    file, title = work.name.split("#", 1)
    told = f"{work.collection} {title}" if COLLECTIONS[work.collection] == ".abc" else file
    apart = re.sub(r"([a-z])([A-Z])", r"\1-\2", told)
    return re.sub(r"[^a-z0-9]+", "-", apart.lower()).strip("-")


def clips(works: list[Work], folder: Path) -> Iterator[PackClip]:
    """Every clip in order; `folder` holds the loops. Needs `fluidsynth` and `espeak-ng`."""
    loops = sounds(folder, held_out=True)
    for number, (side, drawn) in enumerate(works_of_sides(works).items()):
        seed = _SEED + 1000 * number
        played = [
            _loudest(rendition(work, seed + index, _PLAYED_S)) for index, work in enumerate(drawn)
        ]
        music = [
            PackClip(_name_of(work), side, work.name, f"{_SCORE}, {_FONT}", _FREE, audio)
            for work, audio in zip(drawn[:-1], played, strict=False)
        ]
        others = {
            "speech": ("nonsense words", "eSpeak NG", _MIT, speech(seed, CLIP_S)),
            "drums": ("a drum kit", _FONT, "MIT (FluidR3)", _loudest(drum_solo(seed, _PLAYED_S))),
            "noise": ("wide-band noise", "synthesised", _MIT, noise(seed, CLIP_S)),
            "loops": (
                "loops and one-shots",
                "Sonic Pi's samples, synthesised notes",
                f"{_CC0}; {_MIT}",
                _loudest(arrangement(loops, seed, _PLAYED_S)),
            ),
            "near-silence": (
                f"hiss, then {drawn[-1].name}",
                f"{_SCORE}, {_FONT}",
                _FREE,
                out_of_silence(played[-1], seed),
            ),
        }
        kinds = [PackClip(f"{kind}-{number + 1}", side, *rest) for kind, rest in others.items()]
        # In turn, so that the first clips of a side, all that some jobs hear, are varied.
        for pair in zip_longest(music, kinds):
            yield from filter(None, pair)


def write_pack(made: Iterator[PackClip], out: Path) -> int:
    """Write `NAME.ogg` for every clip and `pack.json`; returns the bytes of all clips."""
    out.mkdir(parents=True, exist_ok=True)
    told, n_bytes = [], 0
    for clip in made:
        path = out / f"{clip.name}.ogg"
        soundfile.write(
            path,
            normalise(clip.samples),
            SAMPLE_RATE_HZ,
            format="OGG",
            subtype="VORBIS",
            compression_level=_COMPRESSION,
        )
        told.append({name: value for name, value in asdict(clip).items() if name != "samples"})
        n_bytes += path.stat().st_size
    (out / "pack.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return n_bytes


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=Path("../shared/audio"))
    parser.add_argument("--work", type=Path, required=True, help="keeps the scores, once read")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    works = cached_scores(options.work / "scores.npz")
    n_bytes = write_pack(clips(works, options.audio), options.out)
    print(f"{options.out}: {n_bytes / 1e6:.2f} MB")


if __name__ == "__main__":
    _main()
