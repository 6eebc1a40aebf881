from pathlib import Path

import numpy as np
import pytest

from calibration.feeds.given import given_at, given_in_memory
from tests import tiny_graphs
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact, open_artifact


def x(value: float = 1.0, width: int = 4) -> np.ndarray:
    return np.full((2, width), value, np.float32)


@pytest.fixture
def models(tmp_path: Path) -> list[Artifact]:
    paths = (tiny_graphs.product(tmp_path / f"{name}.onnx", width=4) for name in ("one", "two"))
    return [open_artifact(path) for path in paths]


def values(given: object, model: Artifact) -> list[float]:
    """The first value of each feed of `x`."""
    found = given.read(model)  # type: ignore[attr-defined]
    return [float(feed["x"][0, 0]) for feed in found.feeds]


def test_a_file_feeds_every_model_that_has_its_inputs(models, tmp_path):
    np.savez(tmp_path / "f.npz", **{"x/0": x(1), "x/1": x(2)})
    given = given_at(tmp_path / "f.npz").of(models)
    assert [values(given, model) for model in models] == [[1, 2], [1, 2]]
    assert given.read(models[0]).labels[1].clip == "f.npz[1]"
    np.savez(tmp_path / "z.npz", z=x())
    with pytest.raises(
        InputError, match=r"z\.npz: holds z, which no model takes: one takes x; two"
    ):
        given_at(tmp_path / "z.npz").of(models)


def test_a_folder_is_read_in_the_order_of_its_numbers(models, tmp_path):
    for number in (10, 9, 1):
        path = tmp_path / "many" / f"s{number}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez(path, x=x(number))
    given = given_at(tmp_path / "many").of(models[:1])
    assert values(given, models[0]) == [1, 9, 10]
    assert given.read(models[0]).audio == "many"


def test_a_folder_by_model_feeds_each_its_own(models, tmp_path):
    folder = tmp_path / "per"
    (folder / "two").mkdir(parents=True)
    np.savez(folder / "one.npz", x=x(1))
    np.savez(folder / "two" / "a.npz", x=x(2))
    np.savez(folder / "two" / "b.npz", x=x(3))
    given = given_at(folder).of(models)
    assert [values(given, model) for model in models] == [[1], [2, 3]]
    assert given.sha256(models[0]) != given.sha256(models[1])
    alone = given_at(folder).of(models[:1])
    assert alone.feeds(models[0]) and not alone.feeds(models[1])
    assert alone.read(models[1]) is None and alone.sha256(models[1]) == ""
    (folder / "three").mkdir()
    with pytest.raises(InputError, match=r"three: holds no \.npz file"):
        given_at(folder)
    np.savez(folder / "three" / "a.npz", x=x())
    np.savez(folder / "three.npz", x=x())
    with pytest.raises(InputError, match=r"holds three and three\.npz"):
        given_at(folder)


def test_names_that_match_no_model_are_told(models, tmp_path):
    (tmp_path / "per" / "silero").mkdir(parents=True)
    np.savez(tmp_path / "per" / "silero" / "a.npz", x=x())
    with pytest.raises(InputError, match="feeds for silero, and no model is called so; here: one"):
        given_at(tmp_path / "per").of(models)


def test_places_without_feeds_are_told(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        given_at(tmp_path / "absent.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds no \.npz file"):
        given_at(tmp_path / "empty")


def test_memory_holds_one_sample_several_or_those_of_each_model(models):
    one, two = models
    assert values(given_in_memory({"x": x(5)}).of(models), two) == [5]
    assert values(given_in_memory({"x/0": x(5), "x/1": x(6)}).of(models), one) == [5, 6]
    given = given_in_memory({"x": x(value)} for value in (1, 2)).of(models)
    assert values(given, one) == values(given, one) == [1, 2]
    assert given.sha256(one) != given_in_memory([{"x": x(1)}, {"x": x(3)}]).of(models).sha256(one)
    by_model = given_in_memory({"one": {"x": x(1)}, "two": [{"x": x(2)}, {"x": x(3)}]}).of(models)
    assert [values(by_model, model) for model in models] == [[1], [2, 3]]


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ({}, "nothing is there"),
        ([], "nothing is there"),
        (x(), "a ndarray is no sample; give a dict"),
        ([x()], "sample 0 is a ndarray; give a dict"),
        ([{"x": x()}, {"x": [1.0]}], "sample 1, input x: is a list; give a numpy array"),
        ({"one": 3}, "feeds of one: an int is no sample"),
    ],
)
def test_memory_of_another_form_is_refused(feeds, said):
    with pytest.raises(InputError, match=said):
        given_in_memory(feeds)


def test_arrays_in_memory_are_checked_as_those_of_a_file(models):
    for wrong, said in (
        ({"x": x(width=5)}, r"feeds: sample 0, input x: shape \[2, 5\]"),
        ({"x": x().astype("f8")}, "float64, but the model takes float32"),
        ({"x": x(np.nan)}, "NaN"),
        ({"x": x(), "y": x()}, "no input y"),
    ):
        with pytest.raises(InputError, match=said):
            given_in_memory(wrong).of(models).read(models[0])
