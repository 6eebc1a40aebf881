"""Golden vectors: the same verdict without the reference, and no other model's."""

from dataclasses import replace

import numpy as np
import pytest

from optimize.truth.accuracy import compare, reference_truth
from optimize.truth.golden import load_golden, save_golden
from tests.npz import grown
from tests.optimize.truth.test_accuracy import disturbed, transformer_feeds
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, open_artifact


def test_the_verdict_is_the_same_from_the_file(small_models, tmp_path):
    reference = open_artifact(small_models / "coarse.onnx")
    sources = [("song", "song@0.0s"), ("song", "song@5.0s")]
    truth = reference_truth(reference, transformer_feeds(4, 4), steps=[3, 0], sources=sources)
    weights = load_model(reference.path).graph.initializers
    name = next(name for name in weights if "feed_forward.w_2" in name)
    other = disturbed(reference.path, tmp_path / "b.onnx", name, lambda w: w * 1.5)
    expected = compare(truth, other)
    save_golden(truth, tmp_path / "golden.npz")
    found = compare(load_golden(tmp_path / "golden.npz", reference), other)
    assert found.notes == ("no cost: golden vectors hold no recordings",)
    assert replace(found, notes=()) == expected
    assert found.token_agreement is not None
    assert found.token_agreement < 1
    assert found.sampled_agreement.n_clips == 2 and found.sampled_agreement.floor > 0.999
    assert [each.step for each in found.per_step] == [0, 3]
    assert [each.floor for each in found.per_step] == [1, 1]
    assert sum(each.n_positions for each in found.per_step) == found.n_positions


def test_vectors_of_another_model_and_other_files_are_refused(small_models, tmp_path):
    reference = open_artifact(small_models / "coarse.onnx")
    save_golden(reference_truth(reference, transformer_feeds(4, 4)), tmp_path / "golden.npz")
    with pytest.raises(InputError, match=r"recorded from another model, a coarse\.onnx"):
        load_golden(tmp_path / "golden.npz", open_artifact(small_models / "c2f.onnx"))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="no golden vectors"):
        load_golden(tmp_path / "other.npz", reference)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="no golden vectors"):
        load_golden(tmp_path / "text.npz", reference)


def test_a_size_in_the_file_is_not_believed(small_models, tmp_path):
    """Not even a gigabyte of addresses is asked for: the file holds no such array."""
    reference = open_artifact(small_models / "coarse.onnx")
    save_golden(reference_truth(reference, transformer_feeds(4, 4)), tmp_path / "golden.npz")
    grown(tmp_path / "golden.npz", tmp_path / "grown.npz", "feed/0/codes")
    with pytest.raises(InputError, match="no golden vectors") as error:
        load_golden(tmp_path / "grown.npz", reference)
    assert "its header says" in str(error.value.__cause__)
