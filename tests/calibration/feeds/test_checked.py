from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.feeds.checked import checked_feeds, read_feeds
from vampnet_models.errors import InputError
from vampnet_models.spec import ModelSpec, Role, TensorSpec

SPEC = ModelSpec(
    role=Role.GENERIC,
    inputs=(TensorSpec("x", "float32", (1, "t")), TensorSpec("k", "int64", ("n",))),
    outputs=(TensorSpec("y", "float32", (1, "t")),),
    opset=21,
)


def test_user_feeds_single_and_numbered(tmp_path: Path) -> None:
    path = tmp_path / "feeds.npz"
    np.savez(path, x=np.ones((1, 5), ">f4"), k=np.arange(3))
    single = read_feeds(path, SPEC)
    assert single.feeds[0]["x"].dtype == np.float32 and single.feeds[0]["k"].dtype == np.int64
    several = {f"x/{i}": np.ones((1, 5 + i), np.float32) for i in range(3)}
    np.savez(path, **several, **{f"k/{i}": np.arange(i) for i in range(3)})
    numbered = read_feeds(path, SPEC)
    assert [f["x"].shape for f in numbered.feeds] == [(1, 5), (1, 6), (1, 7)]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, "holds no arrays"),
        ({"x": np.ones((1, 5), "f4")}, "sample 0 lacks input k"),
        ({"x": np.ones((1, 5), "f4"), "k": np.ones(3, int), "z": np.ones(1)}, "has no input z"),
        ({"x": np.ones((2, 5), "f4"), "k": np.ones(3, int)}, r"shape \[2, 5\].*takes \[1, t\]"),
        ({"x": np.ones((3, 1, 5), "f4"), "k": np.ones(3, int)}, "name the arrays x/0, x/1, "),
        ({"x": np.ones((1, 5), "f4"), "k": np.ones(3)}, "float64, but the model takes int64"),
        ({"x": np.full((1, 5), np.nan, "f4"), "k": np.ones(3, int)}, "NaN"),
        ({"x": np.ones((1, 5)), "k": np.ones(3, int)}, "float64, but the model takes float32"),
        ({"x": np.ones((1, 5), "f4"), "k": np.ones(3, "i4")}, r"int32.*\.astype\('int64'\)"),
        ({"x/0": np.ones((1, 5), "f4"), "x/2": np.ones((1, 5), "f4")}, "numbered with gaps"),
    ],
)
def test_wrong_user_feeds_are_one_line(tmp_path: Path, arrays: dict, reason: str) -> None:
    path = tmp_path / "feeds.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=reason):
        read_feeds(path, SPEC)


def test_an_input_may_be_called_like_a_numbered_one() -> None:
    odd = replace(SPEC, inputs=(TensorSpec("x/0", "float32", (1, "t")),))
    one = np.ones((1, 5), "f4")
    assert [list(f) for f in checked_feeds("here", {"x/0": one}, odd).feeds] == [["x/0"]]
    two = checked_feeds("here", {"x/0/0": one, "x/0/1": one}, odd)
    assert [list(f) for f in two.feeds] == [["x/0"], ["x/0"]]


def test_text_is_taken_for_strings_alone() -> None:
    words = replace(SPEC, inputs=(TensorSpec("w", "string", ("n",)),))
    found = checked_feeds("here", {"w": np.array([b"a", b"bc"])}, words)
    assert found.feeds[0]["w"].tolist() == ["a", "bc"]
    with pytest.raises(InputError, match="int64, but the model takes strings"):
        checked_feeds("here", {"w": np.arange(3)}, words)
