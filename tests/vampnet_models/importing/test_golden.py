from pathlib import Path

import numpy as np
import pytest

from tests.vampnet_models import eager, small
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.importing.golden import verify_golden
from vampnet_models.importing.importer import import_models

GOLDEN = Path(__file__).parents[4] / "shared" / "golden"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    source = tmp_path_factory.mktemp("checkpoints")
    small.write_codec(source / "codec.pth")
    small.write_transformer(source / "coarse.pth")
    out = tmp_path_factory.mktemp("models")
    import_models([source], out, self_check=False)
    return out


@pytest.fixture
def answers():
    """Golden arrays of the small checkpoints, by the eager architecture."""
    codec, coarse = small.codec_state(small.LAC), small.transformer_state(small.COARSE)
    audio = np.random.default_rng(2).uniform(-1, 1, (1, 400)).astype(np.float32)
    codes, _ = eager.encode(small.LAC, codec, audio)
    books = small.codebooks(codec, 4)
    mask = np.random.default_rng(3).integers(0, 2, (4, 50))
    logits = eager.logits(small.COARSE, coarse, books, codes[:4], mask)
    return {
        "codec_audio": audio[None],
        "codec_codes": codes[None],
        "codec_decoded": eager.decode(small.LAC, codec, codes)[None],
        "coarse_codes_50": codes[None, :4],
        "coarse_mask_50": mask[None],
        "coarse_logits_50": logits[None],
    }


def verified(models, answers, path):
    np.savez(path / "golden.npz", **answers)
    return verify_golden(models, path / "golden.npz")


def test_answers_of_the_same_function_pass(models, answers, tmp_path):
    report = verified(models, answers, tmp_path)
    found = {figure.key: figure for figure in report.figures}
    assert list(found) == ["codec_codes", "codec_decoded", "coarse_logits_50"]
    assert found["codec_codes"].value == 1.0
    assert 0 < found["coarse_logits_50"].value < 1e-4
    report.require()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("codec_codes", "codec_encoder.onnx codec_codes: codes equal 99.86 %"),
        ("codec_decoded", "codec_decoder.onnx codec_decoded: largest difference 0.01"),
        ("coarse_logits_50", "coarse.onnx coarse_logits_50: largest difference 0.01"),
    ],
)
def test_other_answers_are_a_promise_missed(models, answers, tmp_path, key, said):
    changed = answers[key].copy()
    changed.flat[0] += 1 if key == "codec_codes" else 0.01
    changed = np.mod(changed, 64) if key == "codec_codes" else changed
    if key == "codec_codes":
        answers = {k: v for k, v in answers.items() if k != "codec_decoded"}
    with pytest.raises(PromiseMissed) as caught:
        verified(models, {**answers, key: changed}, tmp_path).require()
    assert said in str(caught.value)
    assert "MISSED" in str(caught.value)
    assert str(caught.value).count("MISSED") == 1


def test_answers_of_another_length_are_missed_not_skipped(models, answers, tmp_path):
    answers["codec_decoded"] = answers["codec_decoded"][:, :, :-1]
    with pytest.raises(PromiseMissed, match="largest difference inf"):
        verified(models, answers, tmp_path).require()


def test_an_import_records_the_figures(answers, tmp_path):
    import json

    small.write_codec(tmp_path / "codec.pth")
    np.savez(tmp_path / "golden.npz", **{**answers, "codec_decoded": np.zeros((1, 1, 2))})
    result = import_models(
        [tmp_path], tmp_path / "out", golden=tmp_path / "golden.npz", self_check=False
    )
    figures = json.loads(result.record.read_text())["golden"]["figures"]
    assert [(f["key"], f["value"], f["passed"]) for f in figures] == [
        ("codec_codes", 1.0, True),
        ("codec_decoded", None, False),
    ]


def test_golden_files_that_cannot_be_used_are_one_line(models, answers, tmp_path):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
        verify_golden(models, bad)
    with pytest.raises(InputError, match="no such file"):
        verify_golden(models, tmp_path / "none.npz")
    with pytest.raises(InputError, match="holds nothing for the models"):
        verified(models, {"x": np.zeros(3)}, tmp_path)
    del answers["coarse_mask_50"]
    with pytest.raises(InputError, match="coarse_logits_50 without coarse_mask_50"):
        verified(models, answers, tmp_path)
    with pytest.raises(InputError, match=r"codec_audio does not fit codec_encoder\.onnx"):
        verified(models, {**answers, "codec_audio": np.zeros((1, 2, 9), np.float32)}, tmp_path)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the shared golden checkpoints are not here")
def test_the_original_projects_answers_are_met(tmp_path):
    result = import_models([GOLDEN], tmp_path, golden=GOLDEN / "golden.npz", self_check=False)
    assert result.golden is not None
    figures = {figure.key: figure for figure in result.golden.figures}
    assert figures["codec_codes"].value == 1.0
    for key in ("codec_decoded", "coarse_logits_100", "coarse_logits_173", "c2f_logits_100"):
        assert figures[key].value <= 1e-4, key
    assert all(figure.passed for figure in figures.values())
