"""Every kind of report, on models whose errors are known."""

import json

import numpy as np
import onnx_ir as ir
import pytest

from optimize.truth.accuracy import compare, reference_truth
from vampnet_models.architectures.graph_writer import GraphBuilder
from vampnet_models.architectures.synth import probe_audio
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.generic import as_json


def disturbed(path, out, name, change):
    """A copy of the model with one initializer changed."""
    model = load_model(path)
    value = model.graph.initializers[name]
    value.const_value = ir.tensor(change(value.const_value.numpy().copy()), name=name)
    save_model(model, out)
    return open_artifact(out)


def report(reference, variant, feeds, sources=()):
    truth = reference_truth(open_artifact(reference), feeds, sources=sources)
    found = compare(truth, variant)
    assert isinstance(found, AccuracyReport)
    json.dumps(as_json(found), allow_nan=False)
    return found


def transformer_feeds(n, predicted, frames=80):
    rng = np.random.default_rng(0)
    feeds = []
    for ratio in (0.25, 0.95):
        codes = rng.integers(0, 1024, (1, n, frames))
        mask = (rng.random((1, n, frames)) < ratio).astype(np.int64)
        mask[:, : n - predicted] = 0
        feeds.append({"codes": codes, "mask": mask})
    return feeds


def test_an_encoder_agrees_with_itself_and_breaks_from_the_changed_codebook_on(
    small_models, tmp_path
):
    path = small_models / "codec_encoder.onnx"
    feeds = [{"audio": probe_audio(s)[None, None, :60_000]} for s in (1, 2)]
    same = report(path, open_artifact(path), feeds)
    assert same.token_agreement == same.floor == 1
    assert same.n_positions == 2 * 14 * 79
    assert same.near_ties.share < 0.2
    name = "quantizer.quantizers.5.codebook.weight.normalised_transposed"
    broken = disturbed(path, tmp_path / "b.onnx", name, lambda w: np.roll(w, 1, axis=1))
    found = report(path, broken, feeds)
    books = [c.agreement for c in found.per_codebook]
    assert books[:5] == [1] * 5
    assert max(books[5:]) < 0.5
    assert found.per_codebook[5].given_earlier == books[5]
    assert found.per_codebook[6].n_positions == 2 * 79
    assert found.interval[0] <= found.token_agreement <= found.interval[1] < 1


def test_an_encoder_with_external_weights_shows_its_margins_too(small_models, tmp_path):
    path = tmp_path / "apart" / "encoder.onnx"
    save_model(load_model(small_models / "codec_encoder.onnx"), path, external=True)
    assert path.with_name("encoder.onnx.data").is_file()
    feeds = [{"audio": probe_audio(1)[None, None, :40_000]}]
    found = report(path, open_artifact(path), feeds)
    assert found.token_agreement == 1
    assert found.near_ties is not None


def test_transformers_are_compared_on_masked_positions_by_mask_ratio(small_models, tmp_path):
    path = small_models / "c2f.onnx"
    feeds = transformer_feeds(14, 10)
    found = report(path, open_artifact(path), feeds)
    masked = sum(int(f["mask"].sum()) for f in feeds)
    assert found.n_positions == masked
    assert found.token_agreement == 1
    assert found.logits_kl == 0
    assert found.top5_containment == 1
    assert [r.mask_ratio for r in found.per_mask_ratio] == [0.3, 1.0]
    assert [c.codebook for c in found.per_codebook] == list(range(4, 14))

    def tilt(bias):
        bias[: 3 * 1024 : 1024] += 1000  # the first three predicted codebooks now say token 0
        return bias

    variant = disturbed(path, tmp_path / "v.onnx", "classifier.layers.0.bias", tilt)
    found = report(path, variant, feeds)
    books = {c.codebook: c.agreement for c in found.per_codebook}
    assert all(books[b] < 0.2 for b in (4, 5, 6))
    assert all(books[b] == 1 for b in range(7, 14))
    assert found.token_agreement == pytest.approx(0.7, abs=0.03)
    assert found.logits_kl > 1
    assert found.near_ties.agreement_excluding == pytest.approx(found.token_agreement, abs=0.02)


def test_transformers_are_compared_by_what_they_draw_too(small_models, tmp_path):
    path = small_models / "c2f.onnx"
    feeds = transformer_feeds(14, 10)
    sources = [("tune", "tune@0"), ("song", "song@5")]
    same = report(path, open_artifact(path), feeds, sources).sampled_agreement
    assert same.value == pytest.approx(1) and same.floor > 0.999
    assert same.n == sum(min(256, int(f["mask"].sum())) for f in feeds)
    assert list(same.per_recording) == ["song", "tune"] and same.n_clips == 2
    assert same.cannot_tell.startswith("cannot tell: 2 recordings and 2 clips")

    def tilt(bias):
        bias[: 3 * 1024 : 1024] += 1000  # the first three predicted codebooks now say token 0
        return bias

    variant = disturbed(path, tmp_path / "v.onnx", "classifier.layers.0.bias", tilt)
    found = report(path, variant, feeds, sources).sampled_agreement
    assert list(found.per_codebook) == [str(book) for book in range(4, 14)]
    assert all(found.per_codebook[str(book)] < 0.2 for book in (4, 5, 6))
    assert all(found.per_codebook[str(book)] > 0.999 for book in range(7, 14))
    assert list(found.per_mask_ratio) == ["0.3", "1.0"]
    assert found.value == pytest.approx(0.7, abs=0.03)
    assert found.low <= found.value <= found.high


def test_the_floor_of_a_truth_keeps_no_logits(small_models):
    reference = open_artifact(small_models / "coarse.onnx")
    truth = reference_truth(reference, transformer_feeds(4, 4))
    assert [set(floor) for floor in truth.floor] == [{"tokens", "sampled"}] * 2
    assert truth.sources == (("feeds", "0"), ("feeds", "1"))


def test_decoders_are_compared_by_their_audio(small_models, tmp_path):
    path = small_models / "codec_decoder.onnx"
    feeds = [{"codes": np.random.default_rng(0).integers(0, 1024, (1, 14, 20))}]
    same = report(path, open_artifact(path), feeds)
    assert same.si_sdr_db == 150
    assert same.log_mel_db == 0
    assert same.token_agreement is None
    name = "decoder.model.0.weight"
    rng = np.random.default_rng(1)
    noisy = disturbed(
        path,
        tmp_path / "v.onnx",
        name,
        lambda w: (w * (1 + 0.01 * rng.standard_normal(w.shape))).astype(np.float32),
    )
    found = report(path, noisy, feeds)
    assert 20 < found.si_sdr_db < 60
    assert found.worst_si_sdr_db <= found.si_sdr_db
    assert found.log_mel_db > 0
    broken = disturbed(path, tmp_path / "n.onnx", name, lambda w: np.full_like(w, np.nan))
    assert report(path, broken, feeds).nonfinite == 20 * 768


def test_anything_else_is_compared_by_argmax_or_equality_and_sqnr(tmp_path):
    def save(path, gain):
        b = GraphBuilder("generic")
        x = b.input("x", ir.DataType.FLOAT, ["n", 16])
        w = b.weight("w", (16, 8), lambda: gain * np.eye(16, 8, dtype=np.float32))
        b.output(b.op("MatMul", x, w), "scores", ir.DataType.FLOAT, ["n", 8])
        save_model(b.finish({}), path)
        return path

    one, two = save(tmp_path / "one.onnx", 1.0), save(tmp_path / "two.onnx", 1.1)
    feeds = [{"x": np.random.default_rng(0).standard_normal((40, 16)).astype(np.float32)}]
    found = report(one, open_artifact(two), feeds)
    assert found.token_agreement == 1
    assert found.n_positions == 40
    assert found.snr_db == pytest.approx(20, abs=0.01)


def test_no_feed_is_an_error(small_models, tmp_path):
    with pytest.raises(InputError, match="no evaluation feed"):
        reference_truth(open_artifact(small_models / "coarse.onnx"), [])
