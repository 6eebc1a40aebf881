import numpy as np
import pytest

from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import (
    Stored,
    saved_model,
    write_saved,
)
from vampnet_models.errors import InputError
from vampnet_models.importing.importer import import_models


def refused(inputs, out):
    with pytest.raises(InputError) as caught:
        import_models(inputs, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


def test_a_data_file_of_another_origin_is_not_replaced(tmp_path):
    small.write_codec(tmp_path / "codec.pth")
    data = tmp_path / "out" / "codec_encoder.onnx.data"
    data.parent.mkdir()
    data.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"onnx\.data: is no codec_encoder\.onnx's; move it"):
        import_models([tmp_path / "codec.pth"], data.parent)
    assert [p.name for p in data.parent.iterdir()] == [data.name]
    assert data.read_bytes() == b"mine"


@pytest.mark.parametrize("factor", [0.0, 1e30])
def test_a_direction_without_a_norm_is_refused_by_name(tmp_path, factor):
    """PyTorch would make NaN of the one, and zeros of the other."""
    state = small.codec_state(small.LAC)
    name = next(name for name in state if name.endswith("weight_v"))
    state[name] = state[name] * np.float32(factor)
    path = write_saved(tmp_path / "codec.pth", saved_model(small.LAC, state))
    message = refused([path], tmp_path / "out")
    assert "what it is made of gives no finite weight" in message
    assert message.startswith(name.removesuffix("_v"))


def test_a_coarse_checkpoint_given_as_the_codec_is_named_for_what_it_is(tmp_path):
    path = small.write_transformer(tmp_path / "codec.pth")
    message = refused([path], tmp_path / "out")
    assert message.startswith(f"{path}: is a coarse transformer, and no codec")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latent_dim": 4}, "latent_dim 4 against codebook_dim 3"),
        ({"vocab_size": 32}, "vocab_size 32 against codebook_size 64"),
        ({"n_codebooks": 15}, "n_codebooks 15 against n_codebooks 14"),
    ],
)
def test_a_codec_that_does_not_fit_is_refused(tmp_path, change, said):
    codec = small.write_codec(tmp_path / "codec.pth")
    coarse = small.write_transformer(tmp_path / "coarse.pth", {**small.COARSE, **change})
    message = refused([codec, coarse], tmp_path / "out")
    assert said in message
    assert str(codec) in message
    assert str(coarse) in message


def test_stages_that_do_not_follow_each_other_are_refused(tmp_path):
    small.write_codec(tmp_path / "codec.pth")
    small.write_transformer(tmp_path / "a.pth", {**small.COARSE, "n_codebooks": 3})
    small.write_transformer(tmp_path / "b.pth", small.C2F)
    assert "conditioned on 4 codebooks" in refused([tmp_path], tmp_path / "out")


def test_two_files_of_one_role_are_refused(tmp_path):
    small.write_codec(tmp_path / "a.pth")
    small.write_codec(tmp_path / "b.pth")
    assert "a second codec beside" in refused([tmp_path], tmp_path / "out")


def test_nothing_given_and_nothing_found_are_said(tmp_path):
    assert "no checkpoint given" in refused([], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "holds no checkpoint" in refused([tmp_path / "empty"], tmp_path / "out")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_with_their_tensors_named(tmp_path, value):
    root = saved_model(small.LAC, small.codec_state(small.LAC), dtype="float64")
    names = ["encoder.block.0.bias", "decoder.model.0.weight_v"]
    for name in names:
        values = root["state_dict"][name].values.astype(np.float64)
        values.flat[-1] = value
        root["state_dict"][name] = Stored(values, "float64")
    path = write_saved(tmp_path / "codec.pth", root)
    message = refused([path], tmp_path / "out")
    assert f"NaN or infinite values in {', '.join(names)}" in message


def test_a_file_that_shrinks_while_it_is_imported_is_one_line_and_leaves_nothing(tmp_path):
    path = small.write_codec(tmp_path / "codec.pth")

    def cut(_done, _total, what):
        if what.startswith("write"):
            path.write_bytes(path.read_bytes()[:2000])

    with pytest.raises(InputError, match="was cut while it was read"):
        import_models([path], tmp_path / "out", progress=cut)
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_line(tmp_path):
    path = small.write_codec(tmp_path / "codec.pth")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write it"):
        import_models([path], tmp_path / "file" / "out")
