import numpy as np
import onnx_ir as ir
import pytest

from tests.vampnet_models.others import FIXTURES, baked, constant, whole_mask
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.repair.baked import accepted_lengths, probe_feed
from vampnet_models.repair.inspection import inspect_model
from vampnet_models.repair.make_dynamic import make_dynamic


def accepted(path):
    artifact = open_artifact(path)
    return accepted_lengths(path, artifact.spec, open_session(path))


@pytest.mark.parametrize("name", ["tokens_classic", "logits_1025_dynamo", "logits_flat_relative"])
def test_a_freed_export_answers_as_the_module_it_came_from(tmp_path, name):
    out = tmp_path / "free.onnx"
    found = make_dynamic(FIXTURES / f"{name}.onnx", out)
    assert found.own_frames == 100
    assert found.largest_difference == 0
    assert found.longest == (None if "relative" in name else 2048)
    session = open_session(out)
    expected = np.load(FIXTURES / f"{name}.npz")
    for frames in (61, 150):
        feed = {k: expected[f"{k}_{frames}"] for k in ("codes", "mask")}
        if "temperature" in session.input_names:
            feed["temperature"] = np.array(1, np.float32)
        answer = session.run(feed)[session.output_names[0]]
        wanted = expected[f"answer_{frames}"]
        if name == "tokens_classic":
            np.testing.assert_array_equal(answer, wanted)
        else:
            kept = answer[..., ::128] if answer.ndim == 4 else answer[:, ::128]
            np.testing.assert_allclose(kept, wanted, atol=1e-5)


@pytest.mark.parametrize("declared", [True, False])
def test_a_baked_transformer_of_ours_is_freed_to_what_it_was(small_models, tmp_path, declared):
    source = baked(small_models / "coarse.onnx", tmp_path / "b.onnx", 100, declared=declared)
    assert (accepted(source).fixed, accepted(source).declared) == (100, declared)
    make_dynamic(source, tmp_path / "free.onnx")
    assert not accepted(tmp_path / "free.onnx").restricted
    rng = np.random.default_rng(0)
    ours, free = (open_session(p) for p in (small_models / "coarse.onnx", tmp_path / "free.onnx"))
    for frames in (37, 173):
        shape = (1, 4, frames)
        feed = {"codes": rng.integers(0, 1024, shape), "mask": rng.integers(0, 2, shape)}
        np.testing.assert_allclose(free.run(feed)["logits"], ours.run(feed)["logits"], atol=1e-5)


def test_a_bias_that_ends_too_early_limits_the_length_and_refuses_beyond(small_models, tmp_path):
    source = baked(small_models / "coarse.onnx", tmp_path / "b.onnx", 60)
    found = make_dynamic(source, tmp_path / "free.onnx")
    assert found.longest == 60
    free, ours = open_session(tmp_path / "free.onnx"), open_session(small_models / "coarse.onnx")
    feed = {name: np.ones((1, 4, 41), np.int64) for name in ("codes", "mask")}
    np.testing.assert_allclose(free.run(feed)["logits"], ours.run(feed)["logits"], atol=1e-5)
    with pytest.raises(InputError, match="does not run on codes"):
        free.run({name: np.ones((1, 4, 61), np.int64) for name in ("codes", "mask")})
    assert accepted(tmp_path / "free.onnx").at_most
    assert accepted(tmp_path / "free.onnx").fixed == 60


def test_what_cannot_be_freed_is_refused_and_nothing_is_written(small_models, tmp_path):
    out = tmp_path / "free.onnx"
    with pytest.raises(InputError, match="nothing to free"):
        make_dynamic(small_models / "coarse.onnx", out)
    with pytest.raises(InputError, match="only transformers"):
        make_dynamic(small_models / "codec_encoder.onnx", out)
    source = baked(small_models / "coarse.onnx", tmp_path / "b.onnx", 60)
    model = load_model(source)
    name = "transformer.layers.0.self_attn.relative_attention_bias"
    add = next(n for n in model.graph if n.op_type == "Add" and "self_attn" in n.name)
    assert name in add.inputs[1].name
    shape = add.inputs[1].shape.numpy()
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    add.replace_input_with(1, constant(model.graph, "noise", noise))
    save_model(model, tmp_path / "places.onnx")
    with pytest.raises(InputError, match="more than their distance"):
        make_dynamic(tmp_path / "places.onnx", out)
    assert not out.exists()


@pytest.mark.parametrize("declared", [True, False])
def test_a_model_that_takes_whole_masks_alone_is_told_so_by_all(tmp_path, declared):
    source = whole_mask(tmp_path / "c2f_transformer_v2.onnx", 100, declared=declared)
    found = accepted(source)
    assert found.usable and found.whole_mask and found.restricted
    assert found.fixed == (100 if declared else None)
    where = "at length 100" if declared else "at any length"
    said = f"runs {where}, and only where every generated position is masked (Reshape"
    assert said in found.describe()
    problems = {problem.kind: problem.text for problem in inspect_model(source).problems}
    assert said in problems["whole-mask"]
    assert "cannot be freed (the shape of NonZero" in problems["whole-mask"]
    assert not {"fixed-length", "baked-length"} & problems.keys()
    with pytest.raises(InputError) as caught:
        make_dynamic(source, tmp_path / "free.onnx")
    assert said in str(caught.value)
    answer = open_session(source).run(probe_feed(open_artifact(source).spec, 100, whole_mask=True))
    assert answer["output"].shape == (1, 14, 100)


def test_a_model_that_runs_never_is_told_so_and_no_constant_is_tried_without_a_bound(tmp_path):
    path = whole_mask(tmp_path / "c.onnx", 100, declared=False)
    model = load_model(path)
    for name, values in (("end", [2**62]), ("shape", [1, 10, 2**40])):
        model.graph.initializers[name].const_value = ir.Tensor(np.array(values), name=name)
    save_model(model, path)
    found = accepted(path)
    assert not found.usable and not found.whole_mask
    problems = {problem.kind: problem.text for problem in inspect_model(path).problems}
    assert found.describe() in problems["runs-never"]
    with pytest.raises(InputError, match="runs at no length that was tried"):
        make_dynamic(path, tmp_path / "free.onnx")
