"""The public-domain scores that are rendered, and the side of the split that each work is on.

The scores come with the package `music21`. Its licence text warns that some encodings are
restricted by their own headers or by their folder, so collections are listed one by one:
`palestrina`, `essenFolksong`, `josquin`, `trecento` and every `.krn` file carry such a restriction
and are left out, as is any score whose own `rights` field holds a text.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Side = Literal["train", "validation", "held_out"]
"""Trained on; used to keep the best checkpoint; judged on, and nothing else."""

# Folders of music21's corpus, with the endings that are read.
COLLECTIONS = {
    "bach": ".mxl",
    "beethoven": ".mxl",
    "haydn": ".mxl",
    "mozart": ".mxl",
    "schumann_robert": ".mxl",
    "schumann_clara": ".mxl",
    "handel": ".mxl",
    "joplin": ".mxl",
    "monteverdi": ".mxl",
    "ryansMammoth": ".abc",
    "oneills1850": ".abc",
    "airdsAirs": ".abc",
}
# Whole works of several movements; of the books of tunes see `sides`.
HELD_OUT_WORKS = (
    "haydn/opus74no1",
    "mozart/k458",
    "mozart/k545",
    "beethoven/opus18no4",
    "beethoven/opus59no3",
    "schumann_robert/opus41no1",
    "schumann_clara/polonaise",
    "handel/",
    "joplin/",
    "monteverdi/madrigal.5",
)
_VALIDATION_WORKS = ("mozart/k156", "beethoven/opus18no5", "monteverdi/madrigal.4")
_TITLED = ("bach/", "ryansMammoth/", "oneills1850/", "airdsAirs/")
_OF_EIGHT: dict[int, Side] = {0: "held_out", 1: "validation"}
_SHORTEST_NOTES = 12
_INCIPIT_NOTES = 9

Notes = NDArray[np.float32]
"""`[notes, 4]`: part, start and duration in quarter notes, MIDI pitch."""


@dataclass(frozen=True)
class Work:
    """A score: `name` as `collection/file#title`, its `side`, and its `notes` `[n, 4]`."""

    name: str
    side: Side
    notes: Notes

    @property
    def collection(self) -> str:
        """The folder of the corpus that it comes from."""
        return self.name.split("/")[0]


def tune_keys(work: str, notes: Notes) -> tuple[str, str]:
    """What tells a tune from others: its title, and the first steps of its highest part.

    Tunes recur: a chorale in several settings, a reel in two books under two titles.
    """
    title = re.sub(r"\b(the|a|an)\b", "", work.split("#", 1)[1].lower())
    top = notes[notes[:, 0] == notes[0, 0]]
    pitches = top[np.argsort(top[:, 1], kind="stable"), 3][:_INCIPIT_NOTES]
    return re.sub(r"[^a-z0-9]", "", title), np.array2string(np.diff(pitches), precision=0)


def sides(works: Mapping[str, Notes]) -> dict[str, Side]:
    """The side of every work: tunes of one title or one beginning stand on the same side."""
    first_with: dict[str, str] = {}
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for name, notes in works.items():
        for key in tune_keys(name, notes):
            leader[lead(name)] = lead(first_with.setdefault(key, name))
    answer: dict[str, Side] = {}
    for name in works:
        if name.startswith(_TITLED):
            answer[name] = _OF_EIGHT.get(zlib.crc32(lead(name).encode()) % 8, "train")
        elif name.startswith(HELD_OUT_WORKS):
            answer[name] = "held_out"
        else:
            answer[name] = "validation" if name.startswith(_VALIDATION_WORKS) else "train"
    return answer


def _is_restricted(path: Path) -> bool:
    """Whether the score itself claims rights."""
    with zipfile.ZipFile(path) as archive:
        texts = [
            archive.read(name).decode("utf-8", "replace")
            for name in archive.namelist()
            if name.endswith((".xml", ".musicxml")) and not name.startswith("META-INF")
        ]
    return any(re.search(r"<rights[^>]*>\s*[^\s<]", text) for text in texts)


def _notes(score: Any) -> Notes:
    """Every note of a music21 score, ties merged."""
    rows: list[tuple[float, float, float, float]] = []
    for part, stream in enumerate(score.parts or [score]):
        for element in stream.stripTies().flatten().notes:
            length = float(element.duration.quarterLength)
            if length > 0.0 and hasattr(element, "pitches"):
                rows += [
                    (part, float(element.offset), length, pitch.midi) for pitch in element.pitches
                ]
    return np.array(rows, np.float32).reshape(-1, 4)


def _title(score: Any) -> str:
    metadata = score.metadata
    return str((metadata and (metadata.title or metadata.movementName)) or "")


def _scores(path: Path) -> Iterator[Any]:
    from music21 import converter

    parsed = converter.parse(str(path), forceSource=True)
    yield from getattr(parsed, "scores", None) or [parsed]


def _read(path: Path, corpus: Path) -> dict[str, Notes]:
    """The works of one file by name; none where the score claims rights."""
    name = str(path.relative_to(corpus).with_suffix(""))
    if path.suffix == ".mxl" and _is_restricted(path):
        return {}
    found = {f"{name}#{_title(score) or name}": _notes(score) for score in _scores(path)}
    return {work: notes for work, notes in found.items() if len(notes) >= _SHORTEST_NOTES}


def read_scores() -> list[Work]:
    """Every work of the collections, in the order of their names; needs `music21`."""
    import music21

    corpus = Path(music21.__file__).parent / "corpus"
    notes: dict[str, Notes] = {}
    for folder, ending in COLLECTIONS.items():
        for path in sorted((corpus / folder).rglob(f"*{ending}")):
            try:
                notes |= _read(path, corpus)
            except Exception as error:  # noqa: BLE001 - music21 raises what it likes; it is told
                print(f"left out {path.relative_to(corpus)}: {type(error).__name__}: {error}")
    side = sides(notes)
    return [Work(name, side[name], notes[name]) for name in sorted(notes)]


def cached_scores(path: Path) -> list[Work]:
    """`read_scores`, kept in one `.npz` file: parsing takes minutes."""
    if not path.exists():
        made = read_scores()
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(
            partial,
            allow_pickle=False,
            names=np.array([work.name for work in made]),
            sides=np.array([work.side for work in made]),
            lengths=np.array([len(work.notes) for work in made]),
            # Column by column, which halves the file: a part's number recurs, its pitches do not.
            notes=np.concatenate([work.notes for work in made]).T,
        )
        partial.replace(path)
    with np.load(path) as stored:
        ends = np.cumsum(stored["lengths"])[:-1]
        notes = np.split(np.ascontiguousarray(stored["notes"].T), ends)
        rows = zip(stored["names"].tolist(), stored["sides"].tolist(), notes, strict=True)
        return [Work(name, side, each) for name, side, each in rows]
