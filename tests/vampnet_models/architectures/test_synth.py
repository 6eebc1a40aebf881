import numpy as np
import pytest

from vampnet_models.architectures.codec import build_decoder, build_encoder
from vampnet_models.architectures.parameter_shapes import codec_shapes, transformer_shapes
from vampnet_models.architectures.seeded import SeededTensors
from vampnet_models.architectures.synth import find_preset, probe_audio, synth
from vampnet_models.architectures.transformer import build_transformer
from vampnet_models.checkpoints.tensors import Ledger
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact, weights_bytes
from vampnet_models.onnxfile.session import open_session


def test_a_seed_gives_the_same_files_and_another_other_weights(small_models, tmp_path):
    synth("small", tmp_path / "again")
    synth("small", tmp_path / "other", seed=5)
    for path in small_models.glob("*.onnx"):
        first = open_artifact(path).sha256
        assert open_artifact(tmp_path / "again" / path.name).sha256 == first
        assert open_artifact(tmp_path / "other" / path.name).sha256 != first


def test_tokens_of_sound_are_spread(small_models):
    session = open_session(small_models / "codec_encoder.onnx")
    codes = session.run({"audio": probe_audio(9)[None, None]})["codes"][0]
    assert min(len(np.unique(row)) for row in codes) > 50


def test_the_published_dimensions_give_the_published_sizes():
    preset = find_preset("vampnet")
    codec = Ledger(SeededTensors(codec_shapes(preset.codec), 0))
    sizes = {"encoder": weights_bytes(build_encoder(preset.codec, codec))}
    sizes["decoder"] = weights_bytes(build_decoder(preset.codec, codec))
    for name, config in (("coarse", preset.coarse), ("c2f", preset.c2f)):
        tensors = Ledger(SeededTensors(transformer_shapes(config), 0))
        sizes[name] = weights_bytes(build_transformer(config, tensors, codec))
        assert tensors.unaccounted() == ()
    assert sizes["encoder"] / 1e6 == pytest.approx(91.4, rel=0.03)
    assert sizes["decoder"] / 2**20 == pytest.approx(487, rel=0.01)
    assert sizes["coarse"] / 1e9 == pytest.approx(1.33, rel=0.01)
    assert sizes["c2f"] / 1e9 == pytest.approx(1.10, rel=0.01)
    assert codec.unaccounted() == ()


def test_the_smaller_decoder_is_about_91_mb():
    preset = find_preset("vampnet-small-decoder")
    codec = Ledger(SeededTensors(codec_shapes(preset.codec), 0))
    assert weights_bytes(build_decoder(preset.codec, codec)) / 1e6 == pytest.approx(91, rel=0.03)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(InputError, match="small, vampnet, vampnet-small-decoder"):
        find_preset("huge")
