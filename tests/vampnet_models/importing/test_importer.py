import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.vampnet_models import eager, small
from tests.vampnet_models.make_checkpoint import (
    Stored,
    saved_model,
    write_package,
    write_saved,
)
from vampnet_models.family import Family
from vampnet_models.importing.importer import import_models
from vampnet_models.onnxfile import artifact
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import WEIGHTS_KEY, Role, conditioning_of

RNG_SEED = 11


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of three small checkpoints and what their import wrote."""
    source = tmp_path_factory.mktemp("checkpoints")
    small.write_codec(source / "one.pth")
    small.write_transformer(source / "two.pth", small.COARSE)
    small.write_transformer(source / "three.pth", small.C2F)
    (source / "notes.txt").write_text("not a model")
    out = tmp_path_factory.mktemp("models")
    return import_models([source], out), out


def logits_of(path, codes, mask):
    """Run a transformer; its logits in the original's layout and its tokens."""
    answer = open_session(path).run({"codes": codes[None], "mask": mask[None]})
    logits = answer["logits"][0].transpose(2, 1, 0)
    return logits.reshape(len(logits), -1), answer["tokens"][0]


def require_transformer(path, kwargs, state, books, frames):
    rng = np.random.default_rng(RNG_SEED)
    codes = rng.integers(0, kwargs["vocab_size"], (kwargs["n_codebooks"], frames))
    mask = rng.integers(0, 2, codes.shape)
    mask[: kwargs["n_conditioning_codebooks"]] = 0
    found, tokens = logits_of(path, codes, mask)
    expected = eager.logits(kwargs, state, books, codes, mask)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    given = kwargs["n_conditioning_codebooks"]
    best = expected.reshape(len(expected), frames, -1).argmax(axis=0).T
    chosen = np.concatenate([codes[:given], best])
    np.testing.assert_array_equal(tokens, np.where(mask == 1, chosen, codes))


def require_codec(out, kwargs, state, samples):
    audio = np.random.default_rng(RNG_SEED).uniform(-1, 1, (1, samples)).astype(np.float32)
    codes, _ = eager.encode(kwargs, state, audio)
    found = open_session(out / "codec_encoder.onnx").run({"audio": audio[None]})["codes"][0]
    np.testing.assert_array_equal(found, codes)
    decoded = open_session(out / "codec_decoder.onnx").run({"codes": codes[None]})["audio"][0]
    np.testing.assert_allclose(decoded, eager.decode(kwargs, state, codes), atol=2e-6)


@pytest.mark.parametrize("samples", [800, 801, 807, 8])
def test_the_codec_agrees_with_the_eager_architecture_at_any_length(whole, samples):
    require_codec(whole[1], small.LAC, small.codec_state(small.LAC), samples)


@pytest.mark.parametrize("frames", [1, 7, 150])
@pytest.mark.parametrize("kwargs", [small.COARSE, small.C2F], ids=["coarse", "c2f"])
def test_the_transformers_agree_with_the_eager_architecture(whole, kwargs, frames):
    name = "c2f" if kwargs["n_conditioning_codebooks"] else "coarse"
    books = small.codebooks(small.codec_state(small.LAC), 14)
    require_transformer(
        whole[1] / f"{name}.onnx", kwargs, small.transformer_state(kwargs), books, frames
    )


def test_a_set_is_recognised_by_content_and_other_files_are_listed(whole):
    result, out = whole
    assert [m.role for m in result.models] == [
        Role.CODEC_ENCODER,
        Role.CODEC_DECODER,
        Role.COARSE,
        Role.C2F,
    ]
    for model in result.models:
        assert open_artifact(model.path).role is model.role
        assert open_artifact(model.path).bytes == model.bytes
    assert [i.name for i in result.ignored] == ["notes.txt"]
    assert sorted(p.name for p in out.iterdir()) == [
        "c2f.onnx",
        "coarse.onnx",
        "codec_decoder.onnx",
        "codec_encoder.onnx",
        "import.json",
    ]


def test_every_parameter_is_accounted_for(whole):
    result, _ = whole
    states = {
        "one.pth": small.codec_state(small.LAC),
        "two.pth": small.transformer_state(small.COARSE),
        "three.pth": small.transformer_state(small.C2F),
    }
    record = json.loads(result.record.read_text())
    for account in record["accounts"]:
        state = states[account["source"]]
        rows = {row["name"]: row for row in account["rows"]}
        assert set(rows) == set(state)
        assert sum(account["parameters"].values()) == sum(v.size for v in state.values())
        assert account["tensors"]["unaccounted"] == 0
        for name, row in rows.items():
            folds = name.endswith(("weight_g", "weight_v", "lora_A", "lora_B", "MASK"))
            assert row["fate"] == "folded" or not folds, name
            assert row["target"], name
    codec = next(a for a in record["accounts"] if a["source"] == "one.pth")
    book = next(r for r in codec["rows"] if r["name"] == "quantizer.quantizers.0.codebook.weight")
    assert "coarse:embedding.0.weight" in book["target"]
    assert "c2f:embedding.0.weight" in book["target"]


def test_the_record_names_sources_models_and_arguments(whole):
    result, _ = whole
    record = json.loads(result.record.read_text())
    sources = {source["file"]: source for source in record["sources"]}
    assert sources["one.pth"]["role"] == "codec"
    assert sources["one.pth"]["kwargs"] == small.LAC
    assert len(sources["three.pth"]["sha256"]) == 64
    models = {model["path"]: model["sources"] for model in record["models"]}
    assert sorted(models["coarse.onnx"]) == ["one.pth", "two.pth"]
    assert models["codec_encoder.onnx"] == ["one.pth"]
    assert record["golden"] is None


def test_a_dac_codec_with_odd_strides_and_its_own_latent_is_imported(tmp_path):
    small.write_codec(tmp_path / "dac.pth", small.DAC)
    result = import_models([tmp_path / "dac.pth"], tmp_path / "out")
    audio = np.random.default_rng(RNG_SEED).uniform(-1, 1, (1, 601)).astype(np.float32)
    state = small.codec_state(small.DAC)
    codes, _ = eager.encode(small.DAC, state, audio)
    assert codes.shape == (5, 101)
    require_codec(tmp_path / "out", small.DAC, state, 601)
    assert not result.warnings


def test_an_archive_of_the_module_gives_the_same_models_as_its_state_dict(tmp_path):
    state = small.codec_state(small.LAC)
    write_package(tmp_path / "p.pth", "LAC", state, {"kwargs": small.LAC})
    small.write_codec(tmp_path / "s.pth")
    for name in ("p", "s"):
        import_models([tmp_path / f"{name}.pth"], tmp_path / name)
    for name in ("codec_encoder.onnx", "codec_decoder.onnx"):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("p", "s"))
        assert first == second


@pytest.mark.parametrize(("dtype", "error"), [("float16", 0.02), ("bfloat16", 0.15)])
def test_half_precision_checkpoints_are_read(tmp_path, dtype, error):
    small.write_codec(tmp_path / "codec.pth")
    small.write_transformer(tmp_path / "coarse.pth", dtype=dtype)
    import_models([tmp_path], tmp_path / "out")
    codes = np.arange(4 * 9).reshape(4, 9) % 64
    found, _ = logits_of(tmp_path / "out" / "coarse.onnx", codes, np.ones_like(codes))
    books = small.codebooks(small.codec_state(small.LAC), 4)
    state = small.transformer_state(small.COARSE)
    expected = eager.logits(small.COARSE, state, books, codes, np.ones_like(codes))
    assert 0 < np.abs(found - expected).max() < error * np.abs(expected).max()


def test_models_without_lora_and_without_weight_norm_are_the_same_function(tmp_path):
    state = small.transformer_state(small.COARSE)
    merged = dict(state)
    for name in [n for n in state if n.endswith("lora_A")]:
        prefix = name.removesuffix(".lora_A")
        product = merged.pop(f"{prefix}.lora_B") @ merged.pop(name)
        merged[f"{prefix}.weight"] = merged[f"{prefix}.weight"] + product / 8
    v = merged.pop("classifier.layers.0.weight_v")
    norm = np.sqrt((v**2).sum(axis=(1, 2), keepdims=True))
    merged["classifier.layers.0.weight"] = merged.pop("classifier.layers.0.weight_g") * v / norm
    small.write_codec(tmp_path / "codec.pth")
    write_saved(tmp_path / "coarse.pth", saved_model(small.COARSE, merged))
    import_models([tmp_path], tmp_path / "out")
    books = small.codebooks(small.codec_state(small.LAC), 14)
    require_transformer(tmp_path / "out" / "coarse.onnx", small.COARSE, state, books, 20)


def test_weights_are_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(artifact, "EXTERNAL_FROM_BYTES", 1 << 20)
    kwargs = {**small.COARSE, "embedding_dim": 384, "n_heads": 6, "n_layers": 6}
    small.write_codec(tmp_path / "codec.pth")
    path = small.write_transformer(tmp_path / "coarse.pth", kwargs)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        import_models([tmp_path], tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 30_000_000
    assert (tmp_path / "out" / "coarse.onnx.data").stat().st_size > 25_000_000
    assert peak < size / 2


def test_progress_names_each_file_and_ends_at_its_total(tmp_path):
    small.write_codec(tmp_path / "codec.pth")
    seen = []
    import_models([tmp_path], tmp_path / "out", progress=lambda *step: seen.append(step))
    names = dict.fromkeys(name for _, _, name in seen)
    assert list(names) == [
        "check codec.pth",
        "write codec_encoder.onnx",
        "write codec_decoder.onnx",
    ]
    last = {name: (done, total) for done, total, name in seen}
    assert all(done == total > 0 for done, total in last.values())


def test_imported_models_say_so(whole):
    import onnx_ir as ir

    model = ir.load(whole[1] / "coarse.onnx")
    assert model.metadata_props[WEIGHTS_KEY] == "imported"


def test_a_second_import_replaces_the_first_and_leaves_nothing_behind(tmp_path):
    small.write_codec(tmp_path / "codec.pth")
    out = tmp_path / "out"
    import_models([tmp_path], out)
    encoder = out / "codec_encoder.onnx"
    save_model(load_model(encoder), encoder, external=True)
    assert (out / "codec_encoder.onnx.data").exists()
    import_models([tmp_path], out)
    assert sorted(p.name for p in out.iterdir()) == [
        "codec_decoder.onnx",
        "codec_encoder.onnx",
        "import.json",
    ]


def test_the_same_file_given_twice_is_one(tmp_path):
    path = small.write_codec(tmp_path / "a.pth")
    assert len(import_models([path, tmp_path, path], tmp_path / "out").models) == 2


def test_other_numbers_of_codebooks_are_a_family_of_their_own(tmp_path):
    small.write_codec(tmp_path / "codec.pth", {**small.LAC, "n_codebooks": 9, "sample_rate": 16000})
    small.write_transformer(tmp_path / "coarse.pth", {**small.COARSE, "n_codebooks": 3})
    fine = {**small.COARSE, "n_codebooks": 9, "n_conditioning_codebooks": 3}
    small.write_transformer(tmp_path / "c2f.pth", fine)
    result = import_models([tmp_path], tmp_path / "out")
    found = {m.role: open_artifact(m.path).spec for m in result.models}
    assert not result.warnings
    assert all(spec.role is role for role, spec in found.items())
    assert {spec.family for spec in found.values()} == {
        Family("VampNet", 16000, 8, 9, 3, 64, 3, 64, 10, 3)
    }
    assert found[Role.COARSE].window_frames == 20_000
    assert conditioning_of(found[Role.C2F]) == 3


def test_a_stage_of_fewer_codebooks_than_the_codec_is_generic_with_a_warning(tmp_path):
    small.write_codec(tmp_path / "codec.pth")
    fine = {**small.COARSE, "n_codebooks": 9, "n_conditioning_codebooks": 3}
    small.write_transformer(tmp_path / "c2f.pth", fine)
    result = import_models([tmp_path], tmp_path / "out")
    assert len(result.warnings) == 1
    assert "c2f.onnx" in result.warnings[0]


def test_a_beat_tracker_is_imported_beside_the_others(tmp_path):
    small.write_codec(tmp_path / "codec.pth")
    state = small.wavebeat_state()
    root = {
        "state_dict": {name: Stored(values) for name, values in state.items()},
        "hyper_parameters": small.WAVEBEAT,
    }
    write_saved(tmp_path / "beats.ckpt", root)
    result = import_models([tmp_path], tmp_path / "out")
    path = tmp_path / "out" / "wavebeat.onnx"
    assert result.models[-1].path == path
    assert open_artifact(path).role is Role.BEATS
    account = next(a for a in result.accounts if a.source == "beats.ckpt")
    assert account.n_tensors("unaccounted") == 0
    assert account.n_tensors("unused") == 6  # num_batches_tracked, with the reason
    session = open_session(path)
    for samples in (400, 401, 403, 64):
        audio = np.random.default_rng(samples).uniform(-1, 1, (1, samples)).astype(np.float32)
        found = session.run({"audio": audio[None]})["logits"][0]
        expected = eager.beats(small.WAVEBEAT, state, audio)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_module_paths_have_no_machine_in_them(whole):
    result, out = whole
    assert str(out) not in result.record.read_text()
    assert str(Path.home()) not in result.record.read_text()
