"""A resumed job finds the codes and feeds of its first run, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.audio.clips import make_clip
from calibration.feeds.chain_feeds import Encoded
from calibration.feeds.feedset import FeedLabel, FeedSet
from calibration.feeds.kept_feeds import kept_codes, kept_feeds
from vampnet_models.progress import Reporter
from vampnet_models.spec import Role


def clips(seed: int):
    rng = np.random.default_rng(seed)
    return (make_clip(f"c{seed}", rng.standard_normal(800).astype(np.float32), "here"),)


def test_codes_are_encoded_once_per_encoder_and_clips(tmp_path: Path) -> None:
    calls = []

    def encode():
        calls.append(1)
        return Encoded(clips(1), (np.full((1, 14, 2), len(calls)),), "pack", "abc")

    first = kept_codes(tmp_path, clips(1), "encoder", encode)
    again = kept_codes(tmp_path, clips(1), "encoder", encode)
    assert len(calls) == 1
    assert (again.codes[0] == first.codes[0]).all()
    assert (again.audio, again.upstream) == ("pack", "abc")
    kept_codes(tmp_path, clips(1), "another encoder", encode)
    kept_codes(tmp_path, clips(2), "encoder", encode)
    assert len(calls) == 3


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    def encode():
        return Encoded(clips(1), (np.zeros((1, 14, 2), np.int64),), "pack", "abc")

    kept_codes(tmp_path, clips(1), "e", encode)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert kept_codes(tmp_path, clips(1), "e", encode).codes[0].shape == (1, 14, 2)
    assert path.stat().st_size > 100


def test_feeds_come_back_with_their_labels_and_hash(tmp_path: Path) -> None:
    def side(value: int) -> FeedSet:
        feeds = ({"codes": np.full((1, 14, 3), value)}, {"codes": np.full((1, 14, 5), value)})
        labels = (FeedLabel("a"), FeedLabel("b", step=1, mask_ratio=0.5))
        return FeedSet(Role.CODEC_DECODER, feeds, labels, "pack", "abc", ("careful",))

    reporter = Reporter()
    made = kept_feeds(tmp_path, "m", "k" * 64, lambda: (side(1), side(2)), reporter)
    found = kept_feeds(tmp_path, "m", "k" * 64, lambda: (side(3), side(4)), reporter)
    assert [f.sha256 for f in found] == [f.sha256 for f in made]
    assert found[0].labels == made[0].labels
    assert found[0].warnings == ("careful",)
    other = kept_feeds(tmp_path, "m", "other key" * 8, lambda: (side(3), side(4)), reporter)
    assert other[0].sha256 != made[0].sha256
