from pathlib import Path

import numpy as np
import pytest

from calibration.feeds.feedset import (
    FeedLabel,
    FeedSet,
    load_feed_set,
    save_feed,
)
from vampnet_models.errors import InputError
from vampnet_models.spec import Role


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
    assert relabelled.sources == (("", "z"),) * 3
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


def test_a_file_that_holds_no_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(InputError, match="holds no feed set"):
        load_feed_set(tmp_path / "other.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        coarse_set().save_npz(tmp_path / "file" / "feeds.npz")
