"""The sample pack: works part between its sides, clips are what they claim to be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soxr")
pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("mido", reason="the extra `train` is not installed")

import soundfile

from training.data.scores import Notes, Side, Work, tune_keys
from training.pack import (
    CLIP_S,
    WORKS_OF_SIDES,
    PackClip,
    out_of_silence,
    whole_of,
    works_of_sides,
    write_pack,
)


def _works() -> list[Work]:
    movements = [
        f"{each}/movement{m}#x{m}" for each in ("haydn/opus74no1", "mozart/k458") for m in (1, 2)
    ]
    tunes = [
        f"{book}/{n}#Tune {book} {n}" for book in ("bach", "airdsAirs", "joplin") for n in range(20)
    ]
    # The same tunes again, in another book.
    tunes += [f"oneills1850/{n}#The Tune, bach {n}" for n in range(20)]
    rng = np.random.default_rng(0)
    held_out = [Work(name, "held_out", _line(rng)) for name in (*movements, *tunes)]
    others: tuple[Side, ...] = ("train", "validation")
    return [*held_out, *(Work(f"weber/{side}#y", side, _line(rng)) for side in others)]


def _line(rng: np.random.Generator) -> Notes:
    """Twenty notes of one part."""
    pitches, starts = rng.integers(40, 80, 20), np.arange(20)
    return np.stack([0 * starts, starts, 1 + 0 * starts, pitches], 1).astype(np.float32)


def test_sides_hold_works_of_several_collections_and_share_none() -> None:
    sides = works_of_sides(_works())
    assert {side: len(works) for side, works in sides.items()} == dict(WORKS_OF_SIDES)
    wholes = [{whole_of(work) for work in works} for works in sides.values()]
    assert [len(each) for each in wholes] == list(WORKS_OF_SIDES.values())
    assert not wholes[0] & wholes[1]
    titles = [tune_keys(work.name, work.notes)[0] for works in sides.values() for work in works]
    assert len(set(titles)) == len(titles)
    assert all(len({work.collection for work in works}) >= 3 for works in sides.values())
    assert all(work.side == "held_out" for works in sides.values() for work in works)
    again = works_of_sides(_works())
    assert all([w.name for w in again[side]] == [w.name for w in sides[side]] for side in sides)


def test_a_phrase_comes_out_of_hiss_first_quietly() -> None:
    tone = 0.2 * np.sin(np.arange(6 * 44100) * 0.05).astype(np.float32)
    heard = out_of_silence(tone, 1).reshape(3, -1).astype(np.float64)
    level_db = 10.0 * np.log10((heard**2).mean(1))
    assert level_db == pytest.approx([-72.0, -24.0 - 17.0, -17.0], abs=0.3)


def test_what_is_written_is_heard_and_told(tmp_path: Path) -> None:
    tone = 0.2 * np.sin(np.arange(int(CLIP_S * 44100)) * 0.05).astype(np.float32)
    made = [
        PackClip(f"clip-{n}", "evaluation", f"work {n}", "a choir", "CC0", tone) for n in range(2)
    ]
    n_bytes = write_pack(iter(made), tmp_path)
    files = sorted(tmp_path.glob("*.ogg"))
    assert n_bytes == sum(path.stat().st_size for path in files)
    told = json.loads((tmp_path / "pack.json").read_text())
    assert told == [
        {
            "name": path.stem,
            "side": "evaluation",
            "plays": f"work {n}",
            "source": "a choir",
            "licence": "CC0",
        }
        for n, path in enumerate(files)
    ]
    heard, rate_hz = soundfile.read(files[0], dtype="float32")
    assert rate_hz == 44100
    assert len(heard) == len(tone)
    assert np.corrcoef(heard, tone)[0, 1] > 0.999
