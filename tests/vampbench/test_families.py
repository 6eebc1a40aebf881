"""A codec of another rate, from the recording to the report's figures."""

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from calibration.audio.clips import AudioSet, make_clip
from calibration.feeds.model_feeds import evaluation_feeds_of
from calibration.feeds.source import Source
from tests import dac
from tests.tiny_graphs import codec_decoder
from tests.vampnet_models import small
from tests.vampnet_models.make_checkpoint import saved_model, write_saved
from vampbench.api.build import build
from vampbench.api.devices.lengths import make_static
from vampbench.api.listen.vamp import vamp
from vampbench.api.models import open_models
from vampbench.api.profile import profile
from vampbench.api.progress import Heard
from vampbench.api.verify import verify
from vampbench.cli.judge.verify import verify as verify_command
from vampbench.cli.models.import_checkpoints import import_checkpoints
from vampbench.cli.models.inspect import inspect as inspect_command
from vampnet_models.chain.families import in_family
from vampnet_models.chain.members import open_all
from vampnet_models.chain.pipeline import decode
from vampnet_models.errors import InputError
from vampnet_models.family import FAMILIES
from vampnet_models.importing.importer import import_models
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.records.results import UNKNOWN_RATE
from vampnet_models.repair.foreign import foreign_problems
from vampnet_models.spec import Role, conditioning_of


def recordings(seconds, n=2):
    rng = np.random.default_rng(0)
    sounds = (0.1 * rng.standard_normal((2 * n, round(seconds * 44_100)))).astype(np.float32)
    clips = [make_clip(f"noise{i}", sound, "test") for i, sound in enumerate(sounds)]
    return AudioSet("noise", tuple(clips[:n]), tuple(clips[n:]))


@pytest.fixture(scope="module")
def dac_16(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dac")
    dac.import_codec(16000, folder)
    return folder / "models"


def foreign(path, folder, **changes):
    """The same model as another exporter's, which names no family."""
    model = load_model(path)
    model.metadata_props.clear()
    save_model(model, folder / path.name)
    return folder / path.name


def test_a_codec_is_fed_at_its_rate_and_its_variants_keep_the_family(dac_16, tmp_path):
    models = open_models(dac_16)
    assert {m.spec.family for m in models.values()} == {FAMILIES[3]}
    encoder = models["codec_encoder"]
    feeds = evaluation_feeds_of(encoder, Source(recordings(0.5, 1)), 1, Reporter())
    assert [feed["audio"].shape for feed in feeds.feeds] == [(1, 1, 8000)]
    made = build(models["codec_decoder"], "fp16", output=tmp_path / "decoder.onnx")
    assert open_artifact(made.path).spec.family == FAMILIES[3]
    found = verify(models["codec_decoder"], made.path, recordings(0.5, 1), threads=1)
    assert found.ok and found.accuracy.log_mel_db is not None


def test_a_model_of_one_length_takes_three_seconds_of_its_own_frames(dac_16, tmp_path):
    made = make_static(dac_16 / "codec_encoder.onnx", tmp_path / "one.onnx")
    assert made.inputs == {"audio": (1, 1, 48_000)}


def test_masked_frames_are_silent_where_strides_are_odd(dac_16):
    codes = np.zeros((1, 12, 8), np.int64)
    codes[:, :, 2] = 1024
    audio = decode(open_session(dac_16 / "codec_decoder.onnx", threads=1), codes)
    assert 7 * 320 < len(audio) < 8 * 320
    assert not audio[2 * 320 : 3 * 320].any() and audio[7 * 320 :].any()


def test_files_without_a_word_are_known_by_their_structure(dac_16, tmp_path):
    for name in ("codec_encoder", "codec_decoder"):
        spec = open_artifact(foreign(dac_16 / f"{name}.onnx", tmp_path)).spec
        assert (spec.family, spec.hop) == (FAMILIES[3], 320)


def unknown(folder):
    """An encoder whose codebooks and strides are no family's, and its decoder."""
    kwargs = {**small.DAC, "sample_rate": 16_000}
    small.write_codec(folder / "codec.pth", kwargs)
    import_models([folder / "codec.pth"], folder / "own", self_check=False)
    return [foreign(folder / "own" / f"codec_{n}.onnx", folder) for n in ("encoder", "decoder")]


def test_a_rate_that_nothing_tells_is_asked_for_and_kept_in_what_is_made(tmp_path):
    encoder, decoder = unknown(tmp_path)
    with pytest.raises(InputError, match=r"encoder\.onnx: nothing tells .* --sample-rate HZ"):
        build(encoder, "int8-static", calibration=recordings(0.1), output=tmp_path / "out.onnx")
    told = Source(recordings(0.1), sample_rate_hz=16_000)
    feeds = evaluation_feeds_of(in_family([open_artifact(encoder)], 16_000)[0], told, 1, Reporter())
    assert {feed["audio"].shape for feed in feeds.feeds} == {(1, 1, 1600)}
    made = build(decoder, "fused", calibration=told, output=tmp_path / "made" / "out.onnx")
    family = open_artifact(made.path).spec.family
    assert (family.sample_rate_hz, family.hop_samples, family.n_codebooks) == (16_000, 6, 5)
    again = {}
    for rate_hz in (16_000, 48_000):
        corrected = Source(recordings(0.1), sample_rate_hz=rate_hz)
        again[rate_hz] = build(decoder, "fused", calibration=corrected, output=made.path).reused
    assert again == {16_000: True, 48_000: False}
    assert open_artifact(made.path).spec.family.sample_rate_hz == 48_000
    result = CliRunner().invoke(inspect_command, [str(decoder)])
    assert result.exit_code == 0 and "note        unknown-rate: nothing tells" in result.output
    # A variant that was made with the rate tells it of its reference.
    made = build(encoder, "fused", calibration=told, output=tmp_path / "made" / "told.onnx")
    found = verify(encoder, made.path, recordings(0.1), threads=1)
    assert found.ok and found.reference.spec.family == family
    timed = profile([encoder, made.path], data=recordings(0.1), targets="mobile")
    assert not any("sample rate" in line for line in timed.warnings)
    heard = Heard()
    with pytest.raises(InputError, match="--sample-rate HZ"):
        profile([encoder], data=recordings(0.1), targets="mobile", progress=heard)
    assert heard.warnings == []
    both = open_models(tmp_path / "own")
    assert {m.spec.family.name for m in both.values()} == {"DAC 16 kHz"}
    with pytest.raises(InputError, match="--sample-rate says 24000; leave it out"):
        open_models(tmp_path / "own", sample_rate_hz=24_000)


def test_fed_by_a_user_a_codec_of_unknown_rate_is_judged_and_what_is_missing_is_said(tmp_path):
    _, decoder = unknown(tmp_path)
    codes = np.random.default_rng(0).integers(0, 64, (1, 5, 40))
    made = build(decoder, "fused", output=tmp_path / "out.onnx")
    call = [str(decoder), str(made.path), "--feeds", str(tmp_path / "f.npz")]
    np.savez(tmp_path / "f.npz", codes=codes)
    result = CliRunner().invoke(verify_command, call, catch_exceptions=False)
    assert result.exit_code == 0 and "log-mel unknown: nothing tells" in result.output
    assert " dB, 0 more clipped" in result.output
    found = profile([decoder], data={"codes": codes}, targets="mobile")
    assert any("real-time factors" in line for line in found.warnings)


def test_a_checkpoint_that_names_no_rate_is_imported_with_one(tmp_path):
    nameless = {k: v for k, v in small.DAC.items() if k != "sample_rate"}
    path = write_saved(tmp_path / "c.pth", saved_model(nameless, small.codec_state(small.DAC)))
    call = [str(path), "-o", str(tmp_path / "out"), "--no-self-check"]
    result = CliRunner().invoke(import_checkpoints, call)
    assert isinstance(result.exception, InputError)
    assert "name no sample_rate; give it with --sample-rate HZ" in str(result.exception)
    result = CliRunner().invoke(import_checkpoints, [*call, "--sample-rate", "22050"])
    assert result.exit_code == 0
    family = open_artifact(tmp_path / "out" / "codec_encoder.onnx").spec.family
    assert family.sample_rate_hz == 22_050


def test_a_chain_of_other_counts_vamps_at_its_rate(tmp_path):
    codec = {**small.LAC, "n_codebooks": 9, "sample_rate": 16_000, "encoder_rates": [8, 8]}
    small.write_codec(tmp_path / "codec.pth", {**codec, "decoder_rates": [8, 8]})
    small.write_transformer(tmp_path / "coarse.pth", {**small.COARSE, "n_codebooks": 3})
    fine = {**small.COARSE, "n_codebooks": 9, "n_conditioning_codebooks": 3}
    small.write_transformer(tmp_path / "c2f.pth", fine)
    import_models([tmp_path], tmp_path / "models", self_check=False)
    song = tmp_path / "song.wav"
    soundfile.write(song, recordings(0.5, 1).evaluation[0].samples, 44_100)
    found = vamp(song, tmp_path / "out.wav", models=tmp_path / "models", threads=1)
    assert (found.samples, found.sample_rate_hz) == (8000, 16_000)
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.samplerate, info.frames) == (16_000, 8000)
    for name in ("codec_encoder", "codec_decoder"):
        foreign(tmp_path / "models" / f"{name}.onnx", tmp_path / "models")
    # What the codec's own files do not tell, the transformers beside it do.
    again = vamp(song, tmp_path / "out.wav", models=tmp_path / "models", threads=1)
    assert again.tokens_sha256 == found.tokens_sha256
    for name in ("coarse", "c2f"):
        foreign(tmp_path / "models" / f"{name}.onnx", tmp_path / "models")
    with pytest.raises(InputError, match="nothing tells the sample rate"):
        vamp(song, tmp_path / "out.wav", models=tmp_path / "models")
    told = open_models(tmp_path / "models", sample_rate_hz=16_000)
    once_more = vamp(song, tmp_path / "out.wav", models=told, threads=1)
    assert (once_more.samples, once_more.sample_rate_hz) == (8000, 16_000)
    spec = open_artifact(tmp_path / "models" / "c2f.onnx").spec
    assert spec.role is Role.C2F and conditioning_of(spec) == 3


def test_a_codec_is_fed_the_codes_that_its_tables_have(tmp_path):
    decoder = open_artifact(codec_decoder(tmp_path / "decoder.onnx", codebook_size=512))
    assert (decoder.role, decoder.spec.codebook_size) == (Role.CODEC_DECODER, 512)
    problems = foreign_problems(decoder, load_model(decoder.path))
    assert [p.kind for p in problems] == [UNKNOWN_RATE]
    (rated,) = in_family([decoder], 16_000)
    assert (rated.spec.family.codebook_size, rated.spec.family.mask_token) == (512, 512)
    feeds = evaluation_feeds_of(rated, Source(recordings(0.5, 1)), 1, Reporter())
    assert feeds.codebook_size == 512
    assert 256 < max(feed["codes"].max() for feed in feeds.feeds) < 512
    like_dac = codec_decoder(tmp_path / "like.onnx", codebook_size=512, n_codebooks=9)
    assert open_artifact(like_dac).spec.family is None
    small_ones = open_artifact(unknown(tmp_path)[0]).spec
    assert (small_ones.role, small_ones.codebook_size) == (Role.CODEC_ENCODER, 64)


def test_transformers_of_another_codec_are_told_and_make_no_codes_for_its_decoder(
    dac_16, tiny, tmp_path
):
    paths = [dac_16 / f"codec_{name}.onnx" for name in ("encoder", "decoder")]
    paths = [foreign(p, tmp_path) for p in (*paths, tiny / "coarse.onnx", tiny / "c2f.onnx")]
    heard = Heard()
    models, _ = open_all(tuple(paths), heard)
    assert [line.partition(";")[0] for line in heard.warnings] == [
        "coarse.onnx: nothing says that it was trained on the codes of DAC 16 kHz (16,000 Hz, 320 "
        "samples a frame)",
        "c2f.onnx: takes 14 codebooks, and DAC 16 kHz has 12: it is of another codec",
    ]
    decoder = next(m for m in models if m.role is Role.CODEC_DECODER)
    feeds = evaluation_feeds_of(decoder, Source(recordings(0.5, 1)), 1, heard)
    assert {label.codes_from for label in feeds.labels} == {"encoder"}
    assert any("c2f makes 14 codebooks, codec_decoder takes 12" in w for w in heard.warnings)
    with pytest.raises(InputError, match=r"^c2f\.onnx does not run on codes \[1, 12, 5\]"):
        codes = np.zeros((1, 12, 5), np.int64)
        open_session(tmp_path / "c2f.onnx").run({"codes": codes, "mask": codes})


def test_transformers_of_the_codec_beside_them_are_not_doubted(tiny, tmp_path):
    heard = Heard()
    open_all(tuple(foreign(p, tmp_path) for p in sorted(tiny.glob("*.onnx"))), heard)
    assert heard.warnings == []
