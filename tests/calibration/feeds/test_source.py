from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.audio.clips import AudioSet
from calibration.feeds import source as sources
from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.given import given_in_memory
from calibration.feeds.model_feeds import (
    CALIBRATION,
    EVALUATION,
    SEARCH,
    evaluation_feeds_of,
    feeds_key,
    feeds_of,
    side_feeds,
)
from calibration.feeds.source import Source, source_at
from tests import tiny_graphs
from tests.heard import Heard
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.progress import Reporter


def samples(*numbers: float) -> list[dict[str, np.ndarray]]:
    return [{"x": np.full((2, 4), number, np.float32)} for number in numbers]


def numbers(feed_set) -> list[float]:
    return [float(feed["x"][0, 0]) for feed in feed_set.feeds]


@pytest.fixture(autouse=True)
def _no_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a recording is a mistake wherever a test does not say so."""

    def refuse(*_: object) -> AudioSet:
        raise AssertionError("audio was read")

    monkeypatch.setattr(sources, "load_audio", refuse)


@pytest.fixture
def model(tmp_path: Path) -> Artifact:
    return open_artifact(tiny_graphs.product(tmp_path / "m.onnx", width=4))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = builtin_models(tmp_path_factory.mktemp("builtin"))
    return open_artifact(folder / "codec_decoder.onnx")


def given(*own: float, judging: tuple[float, ...] = ()) -> Source:
    return Source(
        feeds=given_in_memory(samples(*own), "own") if own else None,
        evaluation_feeds=given_in_memory(samples(*judging), "judging") if judging else None,
    )


def both(source: Source, model: Artifact, tmp_path: Path, told: Reporter | None = None):
    told = told or Reporter()
    inputs = prepare_inputs([model], source.of([model], told), tmp_path, 1, told)
    return feeds_of(model, inputs, 1, told)


def test_one_set_is_halved_and_that_is_told(model, tmp_path):
    told = Heard()
    calibration, evaluation = both(given(1, 2, 3), model, tmp_path, told)
    assert (numbers(calibration), numbers(evaluation)) == ([1, 2], [3])
    assert told.notes == ["m: feeds: 2 of own calibrate, 1 of own judge"]


def test_feeds_for_judging_let_all_others_calibrate(model, tmp_path):
    told = Heard()
    calibration, evaluation = both(given(1, 2, 3, judging=(4, 5)), model, tmp_path, told)
    assert (numbers(calibration), numbers(evaluation)) == ([1, 2, 3], [4, 5])
    assert told.notes == ["m: feeds: 3 of own calibrate, 2 of judging judge"]


def test_no_sample_stands_on_both_sides(model, tmp_path):
    calibration, evaluation = both(given(1, 2, 3, 1), model, tmp_path)
    assert (numbers(calibration), numbers(evaluation)) == ([2], [3, 1])
    assert "1 sample judges too, and calibrated nothing" in calibration.warnings[0]
    calibration, _ = both(given(1, 2, judging=(2,)), model, tmp_path)
    assert numbers(calibration) == [1]
    with pytest.raises(InputError, match="all its samples stand in judging too"):
        both(given(2, judging=(2, 3)), model, tmp_path)


@pytest.mark.parametrize("own", [(1,), (1, 1)])
def test_one_sample_for_both_sides_is_told_on_both(model, tmp_path, own):
    for side in both(given(*own), model, tmp_path):
        assert len(side.feeds) == len(own)
        said = "calibrates and evaluates" if own == (1,) else "calibrate and evaluate"
        assert f"both {said}; give two or more" in side.warnings[0]


def test_a_side_alone(model, tmp_path):
    source = given(1, 2, 3).of([model], Reporter())
    inputs = prepare_inputs([model], source, tmp_path, 1, Reporter())
    sides = [side_feeds(model, inputs, side, 1, Reporter()) for side in (CALIBRATION, EVALUATION)]
    assert [numbers(side) for side in sides] == [[1, 2, 3], [3]]
    assert numbers(side_feeds(model, inputs, SEARCH, 1, Reporter())) == [1, 2]
    single = evaluation_feeds_of(model, given(7), 1, Reporter())
    assert numbers(single) == [7] and not single.warnings


def test_what_judges_alone_calibrates_nothing(model, tmp_path):
    judging = given(judging=(4, 5))
    assert numbers(evaluation_feeds_of(model, judging, 1, Reporter())) == [4, 5]
    with pytest.raises(InputError, match="judging: judges m alone; give feeds"):
        both(judging, model, tmp_path)


def test_a_generic_model_without_feeds_says_they_are_random(model):
    told = Heard()
    found = evaluation_feeds_of(model, Source(), 1, told)
    assert found.upstream.startswith("random")
    (warning,) = told.warnings
    assert warning.startswith("feeds are random")


@pytest.mark.parametrize("side", ["audio", "evaluation_audio"])
def test_recordings_that_no_model_hears_are_refused_or_told_beside_feeds(model, tmp_path, side):
    with pytest.raises(InputError, match="no model here is fed with recordings; give inputs"):
        Source(**{side: tmp_path}).of([model], Reporter())
    told = Heard()
    replace(given(1, 2), **{side: tmp_path}).of([model], told)
    assert told.warnings == [f"{tmp_path}: not read: no model here is fed with recordings"]


def test_a_split_set_that_no_model_hears_is_refused(model):
    with pytest.raises(InputError, match="pack: no model here is fed with recordings"):
        Source(AudioSet("pack", (), ())).of([model], Reporter())


def test_a_known_role_takes_given_feeds_and_reads_no_audio(decoder, tmp_path):
    books = decoder.spec.inputs[0].shape[1]
    codes = [np.full((1, books, 9), n, np.int64) for n in range(4)]
    source = Source(feeds=given_in_memory([{"codes": each} for each in codes]))
    judging = Source(evaluation_feeds=source.feeds)
    assert len(evaluation_feeds_of(decoder, judging, 1, Reporter()).feeds) == 4
    calibration, evaluation = both(source, decoder, tmp_path)
    assert [len(side.feeds) for side in (calibration, evaluation)] == [2, 2]
    assert calibration.role is decoder.role and calibration.is_given


def test_audio_is_read_once_where_a_model_takes_it(decoder, model, monkeypatch):
    read: list[object] = []
    heard = AudioSet("pack", (), ())
    monkeypatch.setattr(sources, "load_audio", lambda *given: read.append(given) or heard)
    source = given(1, 2)
    assert source.of([model], Reporter()).opened([model], Reporter()).audio is None
    opened = source.of([decoder, model], Reporter()).opened([decoder, model], Reporter())
    assert opened.load_audio(Reporter()) is heard
    assert len(read) == 1
    assert opened.is_heard_by(decoder) and not opened.is_heard_by(model)


def test_names_of_no_model_are_told_among_several(model, decoder, tmp_path):
    feeds = {"m": samples(1, 2), "typo": samples(1)}
    told = Heard()
    Source(feeds=given_in_memory(feeds)).of([model, decoder], told)
    assert told.warnings == ["feeds: typo is not used: no model here is called so"]


def test_a_key_stands_for_what_is_given(model, tmp_path):
    def key(source: Source) -> str:
        bound = source.of([model], Reporter())
        return feeds_key(model, prepare_inputs([model], bound, tmp_path, 1, Reporter()))

    assert key(given(1, 2)) == key(given(1, 2)) != key(given(1, 3))
    assert len({key(Source()), key(given(1)), key(given(1, judging=(2,)))}) == 3
    np.savez(tmp_path / "f.npz", x=samples(1)[0]["x"])
    before = key(source_at(feeds=tmp_path / "f.npz"))
    np.savez(tmp_path / "f.npz", x=samples(2)[0]["x"])
    assert key(source_at(feeds=tmp_path / "f.npz")) != before


def test_what_is_judged_apart_is_known(model, decoder):
    assert given(1, judging=(2,)).of([model], Reporter()).judges_apart(model)
    assert not given(1, 2).of([model], Reporter()).judges_apart(model)
    audio = replace(Source(), evaluation_audio=Path("sounds"))
    assert audio.judges_apart(decoder) and not audio.judges_apart(model)
