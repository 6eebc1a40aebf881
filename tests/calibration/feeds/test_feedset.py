from pathlib import Path

import numpy as np
import pytest

from calibration.feeds.checked import read_feeds
from calibration.feeds.feedset import (
    FeedLabel,
    FeedSet,
    load_feed_set,
    save_feed,
)
from calibration.feeds.source import halves
from vampnet_models.errors import InputError
from vampnet_models.spec import ModelSpec, Role, TensorSpec

SPEC = ModelSpec(
    role=Role.GENERIC,
    inputs=(TensorSpec("x", "float32", (1, "t")), TensorSpec("k", "int64", ("n",))),
    outputs=(TensorSpec("y", "float32", (1, "t")),),
    opset=21,
)


def state(seed: int, ratio: float, prompt: str) -> tuple[dict, FeedLabel]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1024, (1, 4, 30))
    mask = np.zeros_like(codes)
    mask[:, 3] = 1
    return {"codes": codes, "mask": mask}, FeedLabel(f"clip{seed}", 1, ratio, prompt, "encoder")


def coarse_set() -> FeedSet:
    pairs = [state(0, 1.0, "everything"), state(1, 0.05, "periodic"), state(2, 0.1, "periodic")]
    feeds, labels = zip(*pairs, strict=True)
    return FeedSet(Role.COARSE, feeds, labels, "builtin", "reference", ("a warning",))


def test_the_hash_covers_every_array_and_nothing_else() -> None:
    one, two = coarse_set(), coarse_set()
    assert one.sha256 == two.sha256
    two.feeds[2]["codes"][0, 0, 0] ^= 1
    assert one.sha256 != two.sha256
    relabelled = FeedSet(one.role, one.feeds, (FeedLabel("z"),) * 3)
    assert relabelled.sha256 == one.sha256
    assert FeedSet(Role.C2F, one.feeds, one.labels).sha256 != one.sha256


def test_coverage_counts_ratios_prompts_and_shown_entries() -> None:
    coverage = coarse_set().coverage()
    assert coverage.n_feeds == 3
    assert coverage.mask_ratios == (2, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert coverage.prompts == {"everything": 1, "periodic": 2}
    shown = {tuple(np.unique(f["codes"][:, 0])) for f in coarse_set().feeds}
    assert coverage.entries_seen[0] == len({v for values in shown for v in values}) / 1024
    assert coverage.entries_seen[3] == 0


def test_a_saved_set_comes_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "feeds.npz"
    original = coarse_set()
    original.save_npz(path)
    loaded = load_feed_set(path)
    assert loaded.sha256 == original.sha256
    assert loaded.labels == original.labels
    assert (loaded.audio, loaded.upstream, loaded.warnings) == (
        "builtin", "reference", ("a warning",)
    )  # fmt: skip
    assert [p.name for p in path.parent.iterdir()] == ["feeds.npz"]


def test_one_feed_is_saved_under_the_input_names(tmp_path: Path) -> None:
    save_feed(coarse_set().feeds[0], tmp_path / "one.npz")
    with np.load(tmp_path / "one.npz") as archive:
        assert sorted(archive.files) == ["codes", "mask"]


def test_user_feeds_single_and_numbered(tmp_path: Path) -> None:
    path = tmp_path / "feeds.npz"
    np.savez(path, x=np.ones((1, 5), ">f4"), k=np.arange(3))
    single = read_feeds(path, SPEC)
    assert single.feeds[0]["x"].dtype == np.float32 and single.feeds[0]["k"].dtype == np.int64
    several = {f"x/{i}": np.ones((1, 5 + i), np.float32) for i in range(3)}
    np.savez(path, **several, **{f"k/{i}": np.arange(i) for i in range(3)})
    numbered = read_feeds(path, SPEC)
    assert [f["x"].shape for f in numbered.feeds] == [(1, 5), (1, 6), (1, 7)]
    calibration, evaluation = halves(numbered)
    assert (len(calibration.feeds), len(evaluation.feeds)) == (2, 1)
    assert not calibration.warnings
    assert all("one feed both calibrates and evaluates" in h.warnings[0] for h in halves(single))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, "holds no arrays"),
        ({"x": np.ones((1, 5), "f4")}, "feed 0 lacks input k"),
        ({"x": np.ones((1, 5), "f4"), "k": np.ones(3, int), "z": np.ones(1)}, "has no input z"),
        ({"x": np.ones((2, 5), "f4"), "k": np.ones(3, int)}, r"shape \[2, 5\].*takes \[1, t\]"),
        ({"x": np.ones((3, 1, 5), "f4"), "k": np.ones(3, int)}, "name the arrays x/0, x/1, "),
        ({"x": np.ones((1, 5), "f4"), "k": np.ones(3)}, "float64, but the model takes int64"),
        ({"x": np.full((1, 5), np.nan, "f4"), "k": np.ones(3, int)}, "NaN"),
        ({"x/0": np.ones((1, 5), "f4"), "x/2": np.ones((1, 5), "f4")}, "numbered with gaps"),
    ],
)
def test_wrong_user_feeds_are_one_line(tmp_path: Path, arrays: dict, reason: str) -> None:
    path = tmp_path / "feeds.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=reason):
        read_feeds(path, SPEC)


def test_files_that_hold_no_feeds(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "single.npy", np.ones(3))
    with pytest.raises(InputError, match=r"not an \.npz file"):
        read_feeds(tmp_path / "text.npz", SPEC)
    with pytest.raises(InputError, match=r"not an \.npz file"):
        read_feeds(tmp_path / "single.npy", SPEC)
    with pytest.raises(InputError, match="no such file"):
        read_feeds(tmp_path / "missing.npz", SPEC)
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(InputError, match="holds no feed set"):
        load_feed_set(tmp_path / "other.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        coarse_set().save_npz(tmp_path / "file" / "feeds.npz")
