"""What models are fed with from Python: used, or refused with one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vampbench as vb
from calibration.audio.clips import AudioSet
from tests.tiny_graphs import product
from vampbench.api.data import as_source


def sample(value: float = 1.0, **more: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": np.full((4, 64), value, np.float32), **more}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return product(tmp_path / "m.onnx")


def test_a_path_is_used_or_refused(model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    array = tmp_path / "x.npy"
    np.save(array, sample()["x"])
    out = tmp_path / "made.onnx"
    for path, said in ((empty, "no model here is fed with recordings"), (array, "is no .npz file")):
        with pytest.raises(vb.InputError, match=said):
            vb.build(model, "int8-static", calibration=path, output=out)
        with pytest.raises(vb.InputError, match=said):
            vb.verify(model, model, path)
        with pytest.raises(vb.InputError, match=said):
            vb.run(model, tmp_path / "run", data=path)
    assert not out.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (sample() | {"x": np.zeros((4, 65), np.float32)}, r"sample 3, input x: shape \[4, 65\]"),
        (sample() | {"x": np.zeros((4, 64))}, "sample 3, input x: float64, but"),
        ({"x": np.full((4, 64), "a")}, "sample 3, input x: <U1, but .* float32; give numbers"),
        (sample(np.nan), "sample 3, input x: holds NaN"),
        (sample(z=np.zeros(1)), "sample 3: the model has no input z"),
        ({"x": [1.0]}, "sample 3, input x: is a list; give a numpy array"),
        ({0: np.zeros(1)}, "sample 3: the name 0 is an int; give it as str"),
        ({b"x": np.zeros(1)}, "sample 3: the name b'x' is a bytes; give it as str"),
    ],
)
def test_a_wrong_sample_is_named_by_its_own_number(
    model: Path, tmp_path: Path, wrong: object, said: str
) -> None:
    feeds = [sample(0.1), sample(0.2), sample(0.3), wrong]
    for call in (
        lambda: vb.build(model, "int8-static", calibration=feeds, output=tmp_path / "o.onnx"),
        lambda: vb.verify(model, model, feeds),
        lambda: vb.profile([model], data=feeds, targets="mobile"),
        lambda: vb.verify(model, model, {"m": feeds}),
    ):
        with pytest.raises(vb.InputError, match=said):
            call()


def test_what_judges_may_be_given_apart() -> None:
    found = as_source([sample(1)], [sample(2), sample(3)])
    assert found.feeds is not None and len(found.feeds.for_any) == 1
    assert found.evaluation_feeds is not None and len(found.evaluation_feeds.for_any) == 2
    found = as_source({"a": sample(1), "b": sample(2)}, {"a": sample(3), "b": sample(4)})
    assert found.evaluation_feeds is not None
    assert found.evaluation_feeds.by_model.keys() == {"a", "b"}


def test_recordings_for_judging_are_a_folder(tmp_path: Path) -> None:
    assert as_source(None, tmp_path).evaluation_audio == tmp_path
    split = AudioSet("pack", (), ())
    for given, evaluation in ((None, split), (split, tmp_path)):
        with pytest.raises(vb.InputError, match="evaluation: recordings are split already"):
            as_source(given, evaluation)


def test_data_that_calibrates_nothing_is_told(model: Path, tmp_path: Path) -> None:
    made = vb.build(model, "int8-dynamic", calibration=[sample()], output=tmp_path / "o.onnx")
    assert "feeds: not used: int8-dynamic calibrates nothing" in made.warnings


def test_what_is_no_number_or_word_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(vb.InputError, match="rounds: is a str; give a whole number"):
        vb.profile([model], rounds="3")
    with pytest.raises(vb.InputError, match="rounds: is a float; give a whole number"):
        vb.profile([model], rounds=3.5)
    with pytest.raises(vb.InputError, match="min_agreement: is a str; give a number"):
        vb.verify(model, model, min_agreement="0.9")
    with pytest.raises(vb.InputError, match="targets: is a list; give words with commas"):
        vb.profile([model], targets=["cpu"])
    with pytest.raises(vb.InputError, match="recipes: is an int; give names"):
        vb.run(model, tmp_path / "out", recipes=5)
