"""Scores: what a tune is told by, and which side it stands on."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from training.data.scores import COLLECTIONS, _is_restricted, _read, cached_scores, sides


def _tune(*pitches: int) -> np.ndarray:
    rows = [(0, index, 1, pitch) for index, pitch in enumerate(pitches)]
    return np.array(rows, np.float32)


def test_a_tune_under_two_titles_or_in_two_keys_stands_on_one_side() -> None:
    steps = np.random.default_rng(0).integers(60, 80, (60, 12))
    works = {f"oneills1850/a#Tune {n}": _tune(*row) for n, row in enumerate(steps)}
    works |= {f"ryansMammoth/b#Other {n}": _tune(*(row + 2)) for n, row in enumerate(steps)}
    works |= {f"airdsAirs/c#The Tune {n}": _tune(*row[::-1]) for n, row in enumerate(steps)}
    side = sides(works)
    for n in range(60):
        names = (
            f"oneills1850/a#Tune {n}",
            f"ryansMammoth/b#Other {n}",
            f"airdsAirs/c#The Tune {n}",
        )
        assert len({side[name] for name in names}) == 1
    shares = [list(side.values()).count(each) / 180 for each in ("held_out", "validation")]
    assert all(0.02 < share < 0.3 for share in shares)


def test_a_work_of_several_movements_stands_on_one_side() -> None:
    works = {f"haydn/opus74no1/movement{n}#x": _tune(*range(60, 75)) for n in range(1, 5)}
    works |= {"haydn/opus1no1/movement1#x": _tune(*range(60, 75))}
    side = sides(works)
    assert {side[name] for name in works if "opus74no1" in name} == {"held_out"}
    assert side["haydn/opus1no1/movement1#x"] == "train"


def test_a_score_that_claims_rights_is_left_out(tmp_path: Path) -> None:
    for name, rights in (("free", ""), ("empty", "<rights> </rights>"), ("mine", "<rights>Me")):
        with zipfile.ZipFile(tmp_path / f"{name}.mxl", "w") as archive:
            archive.writestr("score.xml", f"<score-partwise>{rights}</score-partwise>")
    claimed = [n for n in ("free", "empty", "mine") if _is_restricted(tmp_path / f"{n}.mxl")]
    assert claimed == ["mine"]
    assert _read(tmp_path / "mine.mxl", tmp_path) == {}


def test_restricted_collections_are_not_read() -> None:
    assert not {"palestrina", "essenFolksong", "josquin", "trecento"} & set(COLLECTIONS)
    assert ".krn" not in COLLECTIONS.values()


def test_scores_of_music21_are_read_by_part_start_length_and_pitch() -> None:
    music21 = pytest.importorskip("music21", reason="the extra `train` is not installed")
    corpus = Path(music21.__file__).parent / "corpus"
    (notes,) = _read(corpus / "bach" / "bwv1.6.mxl", corpus).values()
    assert len(np.unique(notes[:, 0])) >= 4
    assert (notes[:, 2] > 0).all()
    assert notes[:, 3].min() >= 36
    assert notes[:, 3].max() <= 84
    tunes = _read(corpus / "airdsAirs" / "book1.abc", corpus)
    assert len(tunes) > 100


def test_read_scores_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.data import scores

    work = scores.Work("haydn/x#y", "train", _tune(60, 62))
    monkeypatch.setattr(scores, "read_scores", lambda: [work])
    cached_scores(tmp_path / "scores.npz")
    monkeypatch.setattr(scores, "read_scores", lambda: [])
    (kept,) = cached_scores(tmp_path / "scores.npz")
    assert (kept.name, kept.side) == (work.name, work.side)
    np.testing.assert_array_equal(kept.notes, work.notes)
