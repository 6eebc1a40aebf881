"""`python -m training.pack --work FOLDER --out FOLDER`: the sample pack, from what is held out.

Fourteen clips of 6 s to calibrate on and fourteen to judge on, as Ogg Vorbis: nine works each, no
work on both sides, and one clip each of speech, percussion, wide-band noise, loops and
near-silence. `pack.json` beside them tells what each is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from training.config import SAMPLE_RATE_HZ
from training.data.arrange import arrangement
from training.data.audio import Audio
from training.data.noise import noise
from training.data.render import drum_solo, rendition
from training.data.scores import Work, cached_scores
from training.data.sounds import sounds
from training.data.speech import speech

SIDES = ("calibration", "evaluation")
CLIP_S = 6.0
_WORKS_PER_SIDE = 9
# Far from every seed of the training side.
_SEED = 700_000_000
_QUIET_DB, _HISS_DB, _PHRASE_AT_S = -42.0, -72.0, 4.0


@dataclass(frozen=True)
class PackClip:
    """A clip of the pack: its `file` without the ending, its `side`, what it plays, its sound."""

    file: str
    side: str
    source: str
    samples: Audio


def works_of_sides(works: list[Work], seed: int = _SEED) -> dict[str, list[Work]]:
    """Nine held-out works for either side, as many collections as there are in turn.

    Movements of one work (`haydn/opus74no1/...`) never part.
    """
    rng = np.random.default_rng(seed)
    by_collection: dict[str, dict[str, list[Work]]] = {}
    for work in works:
        if work.side == "held_out":
            whole = work.name.rsplit("/", 1)[0] if work.name.count("/") > 1 else work.name
            by_collection.setdefault(work.collection, {}).setdefault(whole, []).append(work)
    turns = {
        name: [wholes[key] for key in rng.permutation(sorted(wholes))]
        for name, wholes in sorted(by_collection.items())
    }
    chosen: dict[str, list[Work]] = {side: [] for side in SIDES}
    while any(turns.values()) and len(chosen[SIDES[-1]]) < _WORKS_PER_SIDE:
        for name in [name for name, left in turns.items() if left]:
            # The side that has fewer takes the next one.
            side = min(SIDES, key=lambda each: len(chosen[each]))
            if len(chosen[side]) < _WORKS_PER_SIDE:
                movements = turns[name].pop()
                chosen[side].append(movements[rng.integers(len(movements))])
    return chosen


def near_silence(phrase: Audio, seed: int) -> Audio:
    """Hiss at -72 dB, and after 4 s the beginning of a phrase at -42 dB: `[samples]`."""
    rng = np.random.default_rng(seed)
    quiet = rng.standard_normal(len(phrase)) * 10.0 ** (_HISS_DB / 20.0)
    at = int(_PHRASE_AT_S * SAMPLE_RATE_HZ)
    level = max(float(np.sqrt(np.mean(phrase.astype(np.float64) ** 2))), 1e-6)
    quiet[at:] += phrase[: len(phrase) - at] * (10.0 ** (_QUIET_DB / 20.0) / level)
    return np.asarray(quiet, np.float32)


def _middle(audio: Audio) -> Audio:
    """The loudest 6 s that begin at a whole second: a rendition may open with a rest."""
    length = int(CLIP_S * SAMPLE_RATE_HZ)
    starts = range(0, len(audio) - length + 1, SAMPLE_RATE_HZ)
    return max((audio[at : at + length] for at in starts), key=lambda x: float(np.mean(x**2)))


def clips(works: list[Work], folder: Path) -> Iterator[PackClip]:
    """Every clip in order; `folder` holds the loops. Needs `fluidsynth` and `espeak-ng`."""
    loops = sounds(folder, held_out=True)
    for number, (side, drawn) in enumerate(works_of_sides(works).items()):
        seed = _SEED + 1000 * number
        for index, work in enumerate(drawn):
            played = _middle(rendition(work, seed + index, 15.0))
            yield PackClip(f"{side}-{work.collection}-{index + 1}", side, work.name, played)
        others = {
            "speech": ("eSpeak NG, nonsense words", speech(seed, CLIP_S)),
            "drums": ("FluidR3, a drum kit", _middle(drum_solo(seed, 15.0))),
            "noise": ("synthesised wide-band noise", noise(seed, CLIP_S)),
            "loops": ("CC0 loops and one-shots", _middle(arrangement(loops, seed, 15.0))),
            "near-silence": (
                f"hiss, then {drawn[0].name}",
                near_silence(_middle(rendition(drawn[0], seed + 99, 15.0)), seed),
            ),
        }
        for kind, (source, samples) in others.items():
            yield PackClip(f"{side}-{kind}", side, source, samples)


def write_pack(made: Iterator[PackClip], out: Path) -> int:
    """Write `FILE.ogg` for every clip and `pack.json`; returns the bytes of all clips."""
    out.mkdir(parents=True, exist_ok=True)
    told, n_bytes = [], 0
    for clip in made:
        path = out / f"{clip.file}.ogg"
        soundfile.write(path, clip.samples, SAMPLE_RATE_HZ, format="OGG", subtype="VORBIS")
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
