"""The forms that users' checkpoints come in, beside the original project's own."""

import pickle
import re

import numpy as np
import pytest

from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import (
    Call,
    Name,
    Raw,
    Stored,
    pickled,
    saved_model,
    write_legacy,
    write_package,
    write_saved,
)
from vampnet_models.checkpoints.checkpoint import read_checkpoint
from vampnet_models.errors import InputError
from vampnet_models.importing.importer import import_models
from vampnet_models.onnxfile.artifact import load_model

FC = "transformer.layers.0.self_attn.fc"


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    return small.write_codec(tmp_path_factory.mktemp("codec") / "codec.pth")


@pytest.fixture(scope="module")
def expected(codec, tmp_path_factory):
    """The weights of the transformer's model as the original's own file gives them."""
    folder = tmp_path_factory.mktemp("plain")
    return weights(import_models([codec, small.write_transformer(folder / "c.pth")], folder / "m"))


def weights(result):
    model = load_model(next(m.path for m in result.models if m.role.value == "coarse"))
    values = model.graph.initializers.values()
    return {value.name: value.const_value.numpy() for value in values}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def imported(codec, path, out, **options):
    return import_models([codec, path], out, self_check=False, **options)


@pytest.mark.parametrize(
    "wrap",
    ["module.{}", "_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.module.{}", "inner"],
)
def test_the_wrappers_of_a_saved_model_are_taken_off(codec, expected, tmp_path, wrap):
    state = {
        re.sub(r"(layers\.\d)\.", r"\1._orig_mod.", n) if wrap == "inner" else wrap.format(n): v
        for n, v in small.transformer_state(small.COARSE).items()
    }
    assert state.keys() != small.transformer_state(small.COARSE).keys()
    path = write_saved(tmp_path / "c.pth", saved_model(small.COARSE, state))
    result = imported(codec, path, tmp_path / "m")
    assert_same(weights(result), expected)
    assert any("saved inside a wrapper" in warning for warning in result.warnings)


def test_two_tensors_that_become_one_are_refused(tmp_path):
    state = small.transformer_state(small.COARSE)
    state[f"module.{FC}.weight"] = state[f"{FC}.weight"]
    path = write_saved(tmp_path / "c.pth", saved_model(small.COARSE, state))
    with pytest.raises(InputError, match="without their wrappers"):
        read_checkpoint(path)


def test_one_extra_entry_is_named_and_left_out(codec, expected, tmp_path):
    root = saved_model(small.COARSE, small.transformer_state(small.COARSE))
    root["state_dict"] |= {"n_averaged": Stored(np.array(3), "int64"), "epoch": 7}
    result = imported(codec, write_saved(tmp_path / "c.pth", root), tmp_path / "m")
    assert_same(weights(result), expected)
    assert any("n_averaged: no part of the architecture" in w for w in result.warnings)
    assert any("no tensor: 'epoch'" in w for w in result.warnings)
    rows = {row.name: row for account in result.accounts for row in account.rows}
    assert rows["n_averaged"].fate == "unused"


def test_lora_without_its_second_factor_adds_nothing(codec, expected, tmp_path):
    state = small.transformer_state(small.COARSE)
    del state[f"{FC}.lora_B"]
    path = write_saved(tmp_path / "c.pth", saved_model(small.COARSE, state))
    result = imported(codec, path, tmp_path / "m")
    assert_same(weights(result), {**expected, f"{FC}.weight": state[f"{FC}.weight"].T})
    assert any(f"{FC}.lora_A: without its lora_B" in w for w in result.warnings)


def test_lora_that_a_package_has_merged_already_is_not_added_again(codec, tmp_path):
    state = small.transformer_state(small.COARSE)
    metadata = {"kwargs": small.COARSE}
    layers = {FC: {"merged": True, "scaling": 0.125}}
    path = write_package(tmp_path / "c.pth", "VampNet", state, metadata, layers)
    result = imported(codec, path, tmp_path / "m")
    found = weights(result)
    np.testing.assert_array_equal(found[f"{FC}.weight"], state[f"{FC}.weight"].T)
    other = FC.replace(".0.", ".1.")
    product = state[f"{other}.lora_B"] @ state[f"{other}.lora_A"] / 8
    np.testing.assert_allclose(found[f"{other}.weight"], (state[f"{other}.weight"] + product).T)
    assert any(f"{FC}.lora_A, {FC}.lora_B: in the weight already" in w for w in result.warnings)


def test_lora_of_another_scale_is_refused_by_its_layer(codec, tmp_path):
    state = small.transformer_state(small.COARSE)
    layers = {FC: {"merged": False, "scaling": 2.0}}
    path = write_package(tmp_path / "c.pth", "VampNet", state, {"kwargs": small.COARSE}, layers)
    with pytest.raises(InputError, match=rf"LoRA of {FC} is scaled by 2"):
        imported(codec, path, tmp_path / "m")


@pytest.mark.parametrize("form", ["bare", "state_dict", "wrapped"])
def test_a_lora_file_changes_the_base_that_it_fits(codec, expected, tmp_path, form):
    state = small.transformer_state(small.COARSE)
    stored = {n: Stored(v) for n, v in state.items() if ".lora_" in n}
    others = {n: 2 * v for n, v in state.items() if ".lora_" in n}
    plain = {n: v for n, v in state.items() if ".lora_" not in n}
    roots = {
        "bare": (plain, stored),
        "state_dict": (
            {**plain, **others},
            {"state_dict": stored},
        ),
        "wrapped": (plain, {f"module.{n}": tensor for n, tensor in stored.items()}),
    }
    base_state, root = roots[form]
    base = write_saved(tmp_path / "base.pth", saved_model(small.COARSE, base_state))
    lora = write_saved(tmp_path / "lora.pth", root)
    result = import_models([codec, lora], tmp_path / "m", bases=[base], self_check=False)
    assert_same(weights(result), expected)
    coarse = next(model for model in result.models if model.role.value == "coarse")
    assert coarse.sources == ("codec.pth", "base.pth", "lora.pth")
    said = "in place of 20 of its own" if form == "state_dict" else "20 LoRA tensors laid over"
    assert any(said in warning for warning in result.warnings)


def test_a_lora_file_and_its_base_must_find_each_other(codec, tmp_path):
    state = small.transformer_state(small.COARSE)
    stored = {n: Stored(v) for n, v in state.items() if ".lora_" in n}
    lora = write_saved(tmp_path / "lora.pth", stored)
    base = write_saved(tmp_path / "base.pth", saved_model(small.COARSE, state))
    wider = {**small.COARSE, "embedding_dim": 32}
    wide = write_saved(tmp_path / "wide.pth", saved_model(wider, small.transformer_state(wider)))
    merged = write_package(
        tmp_path / "merged.pth",
        "VampNet",
        state,
        {"kwargs": small.COARSE},
        {FC: {"merged": True}},
    )
    twice = write_saved(tmp_path / "twice.pth", stored)

    def refusal(inputs, bases):
        with pytest.raises(InputError) as caught:
            import_models([codec, *inputs], tmp_path / "m", bases=bases, self_check=False)
        assert not (tmp_path / "m").exists()
        return str(caught.value)

    assert "--base coarse.pth" in refusal([lora], [])
    assert "--base coarse.pth" in refusal([lora, base], [])
    assert "fits no base" in refusal([lora], [wide])
    assert "no LoRA file changes it" in refusal([lora], [base, wide])
    assert "merged into its weights already" in refusal([lora], [merged])
    assert "a second LoRA file" in refusal([lora, twice], [base])


RATES = {
    "array of protocol 2": np.array([2, 4]),
    "array of 32 bits": np.array([2, 4], np.int32),
    "big-endian array": np.array([2, 4], ">i8"),
    "scalars": [np.int64(2), np.int64(4)],
    "array without a dimension": [np.array(2), np.array(4)],
}


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", RATES)
def test_rates_may_be_what_numpy_holds(tmp_path, name, protocol):
    named = {**small.LAC, "encoder_rates": RATES[name], "encoder_dim": np.int64(4)}
    kwargs = Raw(pickle.dumps(named, protocol)[2:-1])
    root = saved_model(kwargs, small.codec_state(small.LAC))
    checkpoint = read_checkpoint(write_saved(tmp_path / "c.pth", root))
    assert checkpoint.kwargs["encoder_rates"] == [2, 4]
    assert checkpoint.kwargs["encoder_dim"] == 4
    assert type(checkpoint.kwargs["encoder_rates"][0]) is int


@pytest.mark.parametrize("legacy", [False, True])
def test_rates_may_be_tensors(tmp_path, legacy):
    kwargs = {
        **small.LAC,
        "encoder_rates": Stored(np.array([2, 4]), "int64"),
        "decoder_rates": [Stored(np.array(4), "int64"), Stored(np.array(2), "int64")],
        "encoder_dim": Stored(np.array(4), "int64"),
        "sample_rate": Stored(np.array(44100.0)),
        "too_many": Stored(np.zeros(2000)),
    }
    root = saved_model(kwargs, small.codec_state(small.LAC))
    found = read_checkpoint((write_legacy if legacy else write_saved)(tmp_path / "c.pth", root))
    assert found.kwargs["encoder_rates"] == [2, 4]
    assert found.kwargs["decoder_rates"] == [4, 2]
    assert (found.kwargs["encoder_dim"], found.kwargs["sample_rate"]) == (4, 44100.0)
    assert found.kwargs["too_many"] == "(not read)"


def test_torchs_format_before_1_6_gives_the_same(codec, expected, tmp_path):
    state = small.transformer_state(small.COARSE)
    path = write_legacy(tmp_path / "c.pth", saved_model(small.COARSE, state))
    checkpoint = read_checkpoint(path)
    assert (checkpoint.form, checkpoint.kind) == ("state_dict", "transformer")
    assert_same(weights(imported(codec, path, tmp_path / "m")), expected)


@pytest.mark.parametrize("kept", [0.001, 0.05, 0.5, 0.999])
def test_a_cut_file_before_1_6_is_named_so(tmp_path, kept):
    state = small.transformer_state(small.COARSE)
    path = write_legacy(tmp_path / "c.pth", saved_model(small.COARSE, state))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match="damaged") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_pickles_that_are_not_torchs_or_would_call_are_refused(tmp_path):
    path = tmp_path / "c.pth"
    path.write_bytes(pickle.dumps({"state_dict": {}}, 2))
    with pytest.raises(InputError, match="not of PyTorch"):
        read_checkpoint(path)
    evil = saved_model(small.COARSE, {})
    evil["note"] = Call(Name("os", "system"), ("touch executed",))
    with pytest.raises(InputError, match=r"wants to call os\.system"):
        read_checkpoint(write_legacy(path, evil))
    data = write_legacy(path, saved_model(small.COARSE, {})).read_bytes()
    path.write_bytes(data.replace(pickled(1001), pickled(1000)))
    with pytest.raises(InputError, match="another version"):
        read_checkpoint(path)
    assert not (tmp_path / "executed").exists()
