"""What decided sets play: once for equal sets, and kept; a note where nothing plays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optimize.truth.song.prompts import Prompts, prompts_of
from tests.optimize.truth.song.test_prompts import encoded
from tests.optimize.truth.test_accuracy import disturbed
from vampbench.work import set_song
from vampbench.work.set_song import with_set_songs
from vampbench.work.workspace import Workspace
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.progress import Reporter
from vampnet_models.records.results import DecidedSet, Decision, Model, Results, Variant
from vampnet_models.records.song import SetSong
from vampnet_models.spec import CHAIN_ROLES, FILE_STEMS

NAMES = [FILE_STEMS[role] for role in CHAIN_ROLES]


class Told(Reporter):
    """Notes what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"warning: {text}")


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    """Two pieces of two recordings."""
    (found,) = prompts_of(encoded(48, 48), VAMPNET)
    return replace(found, prompts=found.prompts[:2])


def sources(tiny: Path) -> list[Artifact]:
    return [open_artifact(tiny / f"{name}.onnx") for name in NAMES]


def run_of(tiny: Path, out: Path) -> Results:
    """Two targets get one set, with another coarse model; a third one FP32."""
    (out / "variants").mkdir(parents=True)
    changed = disturbed(
        tiny / "coarse.onnx",
        out / "variants" / "coarse.onnx",
        "classifier.layers.0.bias",
        lambda b: b + np.random.default_rng(1).normal(0, 2, b.shape).astype(np.float32),
    )
    made = Variant("changed", "ok", path=str(changed.path.relative_to(out)), bytes=1)
    models = tuple(
        Model(a.name, a.role.value, str(a.path), a.bytes, a.sha256, variants=(made,))
        for a in sources(tiny)
    )
    fp32 = dict.fromkeys(NAMES, "fp32")
    own = DecidedSet({**fp32, "coarse": "changed"}, 1)
    return Results(
        models=models,
        decision={
            "cpu": Decision("harmless", own, DecidedSet(fp32, 2)),
            "android": Decision("harmless", own),
        },
    )


def songs(results: Results) -> list[SetSong | None]:
    sets = [each for d in results.decision.values() for each in (d.smallest, d.fastest)]
    return [each.song for each in sets if each is not None]


def test_each_set_plays_once_by_its_own_models_and_is_kept(
    tiny: Path, tmp_path: Path, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = run_of(tiny, tmp_path)
    given = sources(tiny), prompts, Workspace(tmp_path)
    own, fp32, again = songs(with_set_songs(results, *given, Told()))
    assert own is not None and fp32 is not None and own == again
    assert fp32.same_song is not None and fp32.same_song.value == 1
    assert fp32.same_song.floor is not None and fp32.same_song.floor > 0.9
    assert own.same_song is not None and own.same_song.value is not None
    assert 0.1 < own.same_song.value < 0.95 and own.note is None
    assert own.is_as_likely is None and "cannot tell: 2 recordings and 2 clips" in own.told

    def never(*_: object, **__: object) -> None:
        raise AssertionError("played again")

    monkeypatch.setattr(set_song, "play", never)
    told = Told()
    kept = songs(with_set_songs(results, *given, told))
    assert kept == [own, fp32, own]
    assert told.lines == ["  kept from before: song of the set fp32, changed, song of the set fp32"]


def test_what_is_no_whole_chain_says_so_once(tiny: Path, tmp_path: Path, prompts: Prompts) -> None:
    told = Told()
    without = [a for a in sources(tiny) if a.name != "c2f"]
    found = songs(
        with_set_songs(run_of(tiny, tmp_path), without, prompts, Workspace(tmp_path), told)
    )
    note = "no song of the set: there is no c2f in it: it takes the whole chain"
    assert [each and each.note for each in found] == [note] * 3
    assert told.lines == [f"warning: {note}"]
