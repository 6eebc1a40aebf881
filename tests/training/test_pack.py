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

from training.data.scores import Work
from training.pack import CLIP_S, PackClip, near_silence, works_of_sides, write_pack


def _works() -> list[Work]:
    notes = np.zeros((1, 4), np.float32)
    names = [
        f"{folder}/opus{n}/movement{m}#x"
        for folder in ("haydn", "mozart", "beethoven")
        for n in range(3)
        for m in (1, 2, 3)
    ]
    names += [f"{book}/a#Tune {n}" for book in ("bach", "airdsAirs", "joplin") for n in range(20)]
    held_out = [Work(name, "held_out", notes) for name in names]
    return [*held_out, Work("weber/x#y", "train", notes), Work("weber/x#z", "validation", notes)]


def test_sides_hold_nine_works_of_several_collections_and_share_none() -> None:
    sides = works_of_sides(_works())
    assert [len(works) for works in sides.values()] == [9, 9]
    wholes = [
        {w.name.rsplit("/", 1)[0] if w.name.count("/") > 1 else w.name for w in works}
        for works in sides.values()
    ]
    assert len(wholes[0]) == len(wholes[1]) == 9
    assert not wholes[0] & wholes[1]
    assert all(len({work.collection for work in works}) >= 3 for works in sides.values())
    assert all(work.side == "held_out" for works in sides.values() for work in works)
    again = works_of_sides(_works())
    assert all([w.name for w in again[side]] == [w.name for w in sides[side]] for side in sides)


def test_near_silence_is_hiss_and_then_a_quiet_phrase() -> None:
    tone = np.sin(np.arange(6 * 44100) * 0.05).astype(np.float32)
    quiet = near_silence(tone, 1)
    level_db = [
        20.0 * np.log10(np.sqrt(np.mean(part.astype(float) ** 2)))
        for part in (quiet[: 4 * 44100], quiet[4 * 44100 :])
    ]
    assert level_db == pytest.approx([-72.0, -42.0], abs=0.3)


def test_what_is_written_is_heard_and_told(tmp_path: Path) -> None:
    tone = 0.2 * np.sin(np.arange(int(CLIP_S * 44100)) * 0.05).astype(np.float32)
    made = [PackClip(f"evaluation-{n}", "evaluation", f"work {n}", tone) for n in range(2)]
    n_bytes = write_pack(iter(made), tmp_path)
    files = sorted(tmp_path.glob("*.ogg"))
    assert n_bytes == sum(path.stat().st_size for path in files)
    told = json.loads((tmp_path / "pack.json").read_text())
    assert told == [
        {"file": path.stem, "side": "evaluation", "source": f"work {n}"}
        for n, path in enumerate(files)
    ]
    heard, rate_hz = soundfile.read(files[0], dtype="float32")
    assert rate_hz == 44100
    assert len(heard) == len(tone)
    assert np.corrcoef(heard, tone)[0, 1] > 0.999
