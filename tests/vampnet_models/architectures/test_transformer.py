import numpy as np
import pytest

from vampnet_models.architectures.parameter_shapes import codec_shapes, transformer_shapes
from vampnet_models.architectures.seeded import SeededTensors
from vampnet_models.architectures.synth import find_preset
from vampnet_models.architectures.transformer import build_transformer, position_buckets
from vampnet_models.checkpoints.tensors import Ledger
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import open_session


def test_position_buckets_are_t5s():
    buckets = position_buckets()
    assert buckets.shape == (257,)
    assert buckets[128] == 0
    assert buckets[128 - 7 : 128].tolist() == [7, 6, 5, 4, 3, 2, 1]  # keys before the query
    assert buckets[129:136].tolist() == [17, 18, 19, 20, 21, 22, 23]
    assert (buckets[128 + 91 :] == 31).all()  # beyond 90 frames nothing changes
    assert (buckets[: 128 - 90] == 15).all()
    assert buckets[128 + 90] == 30


@pytest.mark.parametrize("frames", [1, 100, 301])
def test_given_codes_pass_and_tokens_are_the_argmax(small_models, frames):
    rng = np.random.default_rng(frames)
    for name, n, predicted in (("coarse", 4, 4), ("c2f", 14, 10)):
        session = open_session(small_models / f"{name}.onnx")
        codes = rng.integers(0, 1024, (2, n, frames))
        mask = rng.integers(0, 2, (2, n, frames))
        out = session.run({"codes": codes, "mask": mask})
        assert out["logits"].shape == (2, predicted, frames, 1024)
        best = out["logits"].argmax(-1)
        tail = mask[:, -predicted:] == 1
        assert (out["tokens"][:, -predicted:][tail] == best[tail]).all()
        assert (out["tokens"][mask == 0] == codes[mask == 0]).all()


def test_what_lies_under_the_mask_does_not_matter(small_models):
    session = open_session(small_models / "coarse.onnx")
    rng = np.random.default_rng(0)
    codes, mask = rng.integers(0, 1024, (1, 4, 40)), rng.integers(0, 2, (1, 4, 40))
    other = np.where(mask == 1, rng.integers(0, 1024, codes.shape), codes)
    one, two = (session.run({"codes": c, "mask": mask})["logits"] for c in (codes, other))
    assert np.array_equal(one, two)


def test_a_codec_that_does_not_fit_is_named():
    preset = find_preset("small")
    tensors = Ledger(SeededTensors(transformer_shapes(preset.coarse), 0))
    shapes = codec_shapes(preset.codec)
    shapes["quantizer.quantizers.0.codebook.weight"] = (512, 8)
    with pytest.raises(InputError, match=r"codebook\.weight: has the shape \[512, 8\]"):
        build_transformer(preset.coarse, tensors, Ledger(SeededTensors(shapes, 0)))
