import numpy as np
import pytest

from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import (
    Name,
    Obj,
    Raw,
    random_state,
    saved_model,
    write_saved,
)
from vampnet_models.architectures.codec import CodecConfig
from vampnet_models.architectures.transformer import TransformerConfig
from vampnet_models.checkpoints.checkpoint import read_checkpoint
from vampnet_models.errors import InputError
from vampnet_models.importing.configs import _EXTRA, config_of, tensors_left


def config(path, kwargs, state):
    return config_of(read_checkpoint(write_saved(path / "c.pth", saved_model(kwargs, state))))


def refused(path, kwargs, state):
    with pytest.raises(InputError) as caught:
        config(path, kwargs, state)
    assert str(path / "c.pth") in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_codec_is_lac_or_dac_by_its_tensors(tmp_path):
    lac = config(tmp_path, small.LAC, small.codec_state(small.LAC))
    dac = config(tmp_path, small.DAC, small.codec_state(small.DAC))
    assert isinstance(lac, CodecConfig)
    assert isinstance(dac, CodecConfig)
    assert (lac.kind, lac.latent, lac.codebook_dim) == ("lac", 16, 3)
    assert (dac.kind, dac.latent, dac.codebook_dim) == ("dac", 10, 3)
    assert dac.encoder_rates == (2, 3)


def test_a_transformer_is_coarse_or_c2f_by_its_conditioning(tmp_path):
    coarse = config(tmp_path, small.COARSE, small.transformer_state(small.COARSE))
    c2f = config(tmp_path, small.C2F, small.transformer_state(small.C2F, lora=False))
    assert isinstance(coarse, TransformerConfig)
    assert isinstance(c2f, TransformerConfig)
    assert (coarse.role.value, coarse.n_predicted) == ("coarse", 4)
    assert (c2f.role.value, c2f.n_predicted) == ("c2f", 10)


@pytest.mark.parametrize("name", ["encoder_dim", "decoder_rates", "codebook_size", "sample_rate"])
def test_a_missing_argument_is_never_assumed(tmp_path, name):
    kwargs = {k: v for k, v in small.LAC.items() if k != name}
    message = refused(tmp_path, kwargs, small.codec_state(small.LAC))
    assert f"constructor arguments name no {name}" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder_dim", 0),
        ("encoder_dim", "64"),
        ("encoder_dim", True),
        ("decoder_dim", 2**40),
        ("encoder_rates", []),
        ("encoder_rates", [2] * 1000),
        ("decoder_rates", [0, 2]),
        ("decoder_rates", 8),
        ("codebook_dim", [3, 4]),
    ],
)
def test_impossible_arguments_are_named(tmp_path, name, value):
    message = refused(tmp_path, {**small.LAC, name: value}, small.codec_state(small.LAC))
    assert f"{name} " in message


@pytest.mark.parametrize(
    ("name", "value"), [("ctrl_dims", {"rms": 1}), ("cond_dim", 5), ("r_cond_dim", 8)]
)
def test_conditioned_models_are_refused_by_the_argument(tmp_path, name, value):
    kwargs = {**small.COARSE, name: [1] if isinstance(value, dict) else value}
    message = refused(tmp_path, kwargs, small.transformer_state(small.COARSE))
    assert message.split(": ", 1)[1].startswith(f"{name} is ")
    assert "conditioning inputs" in message


def test_arguments_that_contradict_each_other_are_refused(tmp_path):
    state = small.transformer_state(small.COARSE)
    assert "none is predicted" in refused(
        tmp_path, {**small.COARSE, "n_conditioning_codebooks": 4}, state
    )
    assert "no multiple of n_heads" in refused(tmp_path, {**small.COARSE, "n_heads": 3}, state)


def test_missing_extra_and_wrongly_shaped_tensors_are_each_named(tmp_path):
    state = small.transformer_state(small.COARSE)
    del state["transformer.norm.weight"]
    del state["transformer.layers.1.self_attn.w_ks.weight"]
    state["transformer.layers.0.self_attn.w_ks.bias"] = state["embedding.out_proj.bias"]
    state["classifier.layers.0.bias"] = state["classifier.layers.0.bias"][:-1]
    message = refused(tmp_path, small.COARSE, state)
    assert "2 missing (transformer.layers.1.self_attn.w_ks.weight, transformer.norm" in message
    assert "1 extra (transformer.layers.0.self_attn.w_ks.bias)" in message
    assert "1 wrongly shaped (classifier.layers.0.bias [255] instead of [256])" in message


def test_arguments_that_do_not_fit_the_tensors_are_caught_by_shape(tmp_path):
    state = small.codec_state(small.LAC)
    message = refused(tmp_path, {**small.LAC, "encoder_dim": 8}, state)
    assert "wrongly shaped (encoder.block.0.bias [4] instead of [8]" in message
    assert "more)" in message
    assert "extra" in refused(tmp_path, {**small.LAC, "n_codebooks": 13}, state)


def test_lora_pairs_must_be_pairs(tmp_path):
    state = small.transformer_state(small.COARSE)
    name = "transformer.layers.0.self_attn.fc"
    del state[f"{name}.lora_A"]
    assert f"{name}.lora_A, lora_B [], [16, 8] instead" in refused(tmp_path, small.COARSE, state)


def test_one_extra_tensor_is_left_out_by_name_and_layers_beyond_the_count_are_not(tmp_path):
    state = small.transformer_state(small.COARSE)
    state["transformer.layers.0.self_attn.scratch"] = np.full(3, np.nan)
    checkpoint = read_checkpoint(write_saved(tmp_path / "c.pth", saved_model(small.COARSE, state)))
    left = tensors_left(checkpoint, config_of(checkpoint))
    assert left == {"transformer.layers.0.self_attn.scratch": _EXTRA}
    state["transformer.layers.7.norm_1.weight"] = state["transformer.layers.0.norm_1.weight"]
    message = refused(tmp_path, small.COARSE, state)
    assert "transformer.layers.7.norm_1.weight" in message


@pytest.mark.parametrize(
    "value", [{"rms": 1}, {"rms": {"a": 1}}, Obj(Name("argparse", "Namespace"), {})]
)
def test_a_conditioning_argument_of_any_kind_is_seen(tmp_path, value):
    state = small.transformer_state(small.COARSE)
    message = refused(tmp_path, {**small.COARSE, "ctrl_dims": value}, state)
    assert "ctrl_dims is " in message


@pytest.mark.parametrize("bits", [300, 24_000])
def test_a_number_without_end_is_refused_in_one_line(tmp_path, bits):
    number = Raw(b"\x8b" + (bits // 8).to_bytes(4, "little") + b"\x7f" * (bits // 8))
    for value in (number, [number], 2**200, "9" * 100_000, [2**200]):
        message = refused(
            tmp_path, {**small.LAC, "encoder_dim": value}, small.codec_state(small.LAC)
        )
        assert len(message) < 500


def test_the_other_forms_of_weight_norm_are_expected_where_the_file_has_them(tmp_path):
    state = small.codec_state(small.LAC)
    for prefix in ("encoder.block.0", "decoder.model.0"):
        gain, direction = state.pop(f"{prefix}.weight_g"), state.pop(f"{prefix}.weight_v")
        if prefix.startswith("encoder"):
            state[f"{prefix}.parametrizations.weight.original0"] = gain
            state[f"{prefix}.parametrizations.weight.original1"] = direction
        else:
            state[f"{prefix}.weight"] = direction
    assert isinstance(config(tmp_path, small.LAC, state), CodecConfig)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("norm_type", "LayerNorm", "only BatchNorm is served"),
        ("act_type", "ReLU", "only PReLU is served"),
        ("kernel_size", 4, "would not have the same length"),
        ("dilation_growth", 1000, "wrongly shaped|extra|dilations"),
    ],
)
def test_beat_trackers_of_other_kinds_are_refused(tmp_path, name, value, said):
    kwargs = {**small.WAVEBEAT, name: value}
    if name == "dilation_growth":
        kwargs |= {"stack_size": 8, "nblocks": 8}
    root = {"state_dict": {}, "hyper_parameters": kwargs}
    root["state_dict"] = saved_model({}, random_state(_shapes()))["state_dict"]
    path = write_saved(tmp_path / "w.pth", root)
    with pytest.raises(InputError, match=said):
        config_of(read_checkpoint(path))


def _shapes():
    return {name: values.shape for name, values in small.wavebeat_state().items()}
