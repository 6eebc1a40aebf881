from dataclasses import replace
from pathlib import Path

import pytest

from vampnet_models.chain.families import family_of_chain, in_family
from vampnet_models.chain.members import with_neighbours
from vampnet_models.errors import InputError
from vampnet_models.family import FAMILIES, FAMILY_KEY, VAMPNET, family_text
from vampnet_models.onnxfile.artifact import (
    Artifact,
    copy_model,
    load_model,
    open_artifact,
    save_model,
)
from vampnet_models.progress import Reporter
from vampnet_models.spec import ModelSpec, Role, TensorSpec, recognise

DAC_16 = FAMILIES[3]


def artifact(role, family=None, hop=None, **shapes):
    given = shapes or {"codes": ("b", 14, "t")}
    tensors = tuple(TensorSpec(name, "int64", shape) for name, shape in given.items())
    spec = ModelSpec(role, tensors, tensors, 21, family=family, hop=hop)
    return Artifact(Path(f"{role.value}.onnx"), spec, (), 0, "0")


def transformer(n, predicted):
    codes, mask = (TensorSpec(name, "int64", ("b", n, "t")) for name in ("codes", "mask"))
    logits = TensorSpec("logits", "float32", ("b", predicted, "t", 1024))
    spec = ModelSpec(recognise((codes, mask), (logits,)), (codes, mask), (logits,), 21)
    return Artifact(Path(f"{n}.onnx"), spec, (), 0, "0")


def test_a_rate_that_nothing_tells_is_asked_for():
    codec = artifact(Role.CODEC_DECODER, hop=240)
    with pytest.raises(InputError, match="give it with --sample-rate HZ"):
        family_of_chain([codec])
    family = family_of_chain(in_family([codec], 24_000))
    assert (family.sample_rate_hz, family.hop_samples, family.n_codebooks) == (24_000, 240, 14)
    with pytest.raises(InputError, match="cannot be read off its strides"):
        in_family([artifact(Role.CODEC_DECODER)], 24_000)
    with pytest.raises(InputError, match=r"VampNet \(44,100 Hz.* and --sample-rate says 16000"):
        in_family([artifact(Role.CODEC_ENCODER, VAMPNET)], 16_000)


def test_other_counts_are_stages_by_their_classes_and_of_the_codec_beside_them():
    coarse, fine = transformer(3, 3), transformer(9, 6)
    assert (coarse.role, fine.role) == (Role.COARSE, Role.C2F)
    dac = artifact(Role.CODEC_ENCODER, FAMILIES[1])
    models = in_family([dac, coarse, fine])
    assert models[1].spec.family == models[2].spec.family
    assert models[2].spec.family == replace(FAMILIES[1], n_coarse_codebooks=3)
    assert models[1].spec.window_frames == 862
    assert family_of_chain(models) == FAMILIES[1]
    assert family_of_chain([coarse]) == VAMPNET


def test_models_of_two_codecs_or_two_trainings_are_refused():
    one, two = artifact(Role.CODEC_ENCODER, VAMPNET), artifact(Role.CODEC_DECODER, DAC_16)
    with pytest.raises(InputError, match=r"decoder\.onnx: is of DAC 16 kHz .* give models of one"):
        family_of_chain([one, two])
    with pytest.raises(InputError, match="counts 4 codebooks as coarse"):
        family_of_chain([transformer(3, 3), transformer(14, 10)])


def test_metadata_that_contradict_the_graph_are_refused_and_neighbours_left_out(
    small_models, tmp_path
):
    model = load_model(small_models / "codec_encoder.onnx")
    assert open_artifact(small_models / "codec_encoder.onnx").spec.family == VAMPNET
    model.metadata_props[FAMILY_KEY] = family_text(DAC_16)
    save_model(model, tmp_path / "wrong.onnx")
    with pytest.raises(InputError, match=r"wrong\.onnx: .* names 12 codebooks, and its graph has"):
        open_artifact(tmp_path / "wrong.onnx")
    del model.metadata_props[FAMILY_KEY]
    save_model(model, tmp_path / "foreign.onnx")
    foreign = open_artifact(tmp_path / "foreign.onnx").spec
    assert (foreign.family, foreign.hop) == (VAMPNET, 768)
    (tmp_path / "wrong.onnx").unlink()
    decoder = open_artifact(copy_model(open_artifact(small_models / "coarse.onnx"), tmp_path))
    own = replace(decoder, spec=replace(decoder.spec, family=DAC_16))
    warned = []
    reporter = Reporter()
    reporter.warn = warned.append
    assert with_neighbours(own, reporter) == [own]
    assert warned == ["foreign.onnx: not used for coarse: of another codec"]
