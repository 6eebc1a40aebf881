"""What encoder and decoder cost, on recordings that the decoder itself has played."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.feeds.evidence import Evidence, Passage, Place
from optimize.truth.accuracy import compare, reference_truth
from optimize.truth.audio_metrics import log_mel_db, si_sdr_db, stft_distance
from tests.optimize.truth.test_accuracy import disturbed
from vampnet_models.architectures.synth import probe_audio
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session

FRAMES, HOP = 40, 768


def passages(sounds, n_recordings):
    """Two pieces of each sound, the recordings in turn."""
    found = []
    for feed, sound in enumerate(sounds):
        for first in (0, 20):
            place = Place(f"song {feed % n_recordings}", f"clip {feed}", first)
            part = sound[first * HOP : (first + 20) * HOP]
            found.append(Passage(place, feed, 20, part))
    return tuple(found)


def scaled(path, out, name, amount):
    rng = np.random.default_rng(1)
    return disturbed(
        path,
        out,
        name,
        lambda w: (w * (1 + amount * rng.standard_normal(w.shape))).astype(np.float32),
    )


@pytest.fixture(scope="module")
def decoder(small_models):
    return open_artifact(small_models / "codec_decoder.onnx")


@pytest.fixture(scope="module")
def played(decoder):
    """Codes, and a sound near to what FP32 makes of them: its SI-SDR to that is about 10 dB."""
    rng = np.random.default_rng(0)
    feeds = [{"codes": rng.integers(0, 1024, (1, 14, FRAMES))} for _ in range(10)]
    session = open_session(decoder.path)
    sounds = []
    for feed in feeds:
        sound = session.run(feed)["audio"][0, 0]
        noise = rng.standard_normal(sound.shape) * np.std(sound) / np.sqrt(10)
        sounds.append((sound + noise).astype(np.float32))
    return feeds, sounds


def test_a_decoder_costs_how_much_farther_from_the_recording_it_sounds(decoder, played, tmp_path):
    feeds, sounds = played
    evidence = Evidence(passages=passages(sounds, 5))
    truth = reference_truth(decoder, feeds, evidence=evidence)
    variant = scaled(decoder.path, tmp_path / "v.onnx", "decoder.model.0.weight", 0.3)
    found = compare(truth, variant)
    ours, own = open_session(variant.path), open_session(decoder.path)
    costs = {"mel": [], "stft": [], "ratio": []}
    for passage in evidence.passages:
        first = passage.place.first_frame * HOP
        one, other = (
            session.run(feeds[passage.feed])["audio"][0, 0, first : first + 20 * HOP]
            for session in (ours, own)
        )
        to = passage.samples
        costs["mel"].append(log_mel_db(to, one, 44_100) - log_mel_db(to, other, 44_100))
        costs["stft"].append(stft_distance(to, one) - stft_distance(to, other))
        costs["ratio"].append(si_sdr_db(to, other) - si_sdr_db(to, one))
    assert found.cost_log_mel_db.value == pytest.approx(np.mean(costs["mel"]), abs=1e-4)
    assert found.cost_stft.value == pytest.approx(np.mean(costs["stft"]), abs=1e-4)
    assert found.cost_si_sdr_db.value == pytest.approx(np.mean(costs["ratio"]), abs=1e-3)
    assert min(np.mean(each) for each in costs.values()) > 0
    assert found.cost_log_mel_db.n == 20 * 20 * HOP and found.cost_log_mel_db.can_tell
    assert found.cost_log_mel_db.heard_s == pytest.approx(20 * 20 * HOP / 44_100)
    assert found.cost_log_mel_db.low < found.cost_log_mel_db.value < found.cost_log_mel_db.high
    assert abs(found.cost_log_mel_db.floor) < 1e-3


def test_the_waveform_counts_only_where_fp32_keeps_it(decoder, played):
    feeds, sounds = played
    noise = np.random.default_rng(2).standard_normal(FRAMES * HOP).astype(np.float32)
    mixed = passages([noise, *sounds[1:]], 10)
    some = compare(reference_truth(decoder, feeds, evidence=Evidence(passages=mixed)), decoder)
    assert "song 0" not in some.cost_si_sdr_db.per_recording
    assert some.cost_si_sdr_db.n_clips == 18 and some.cost_log_mel_db.n_clips == 20
    foreign = Evidence(passages=passages([noise] * 10, 10))
    none = compare(reference_truth(decoder, feeds, evidence=foreign), decoder)
    assert none.cost_si_sdr_db is None
    assert none.cost_log_mel_db.value == 0


def test_silence_costs_no_more_than_it_is_farther_from_silence(decoder, played):
    feeds, _ = played
    silent = Evidence(passages=passages([np.zeros(FRAMES * HOP, np.float32)] * 10, 5))
    found = compare(reference_truth(decoder, feeds, evidence=silent), decoder)
    assert found.cost_log_mel_db.value == found.cost_stft.value == 0
    assert found.cost_si_sdr_db is None


def test_an_encoders_codes_are_heard_through_the_fp32_decoder(small_models, decoder, tmp_path):
    encoder = open_artifact(small_models / "codec_encoder.onnx")
    sounds = [probe_audio(seed)[: FRAMES * HOP] for seed in range(4)]
    feeds = [{"audio": sound[None, None]} for sound in sounds]
    evidence = Evidence(passages=passages(sounds, 2), decoder=decoder)
    truth = reference_truth(encoder, feeds, evidence=evidence)
    assert compare(truth, encoder).cost_log_mel_db.value == 0
    name = "quantizer.quantizers.0.codebook.weight.normalised_transposed"
    broken = disturbed(encoder.path, tmp_path / "b.onnx", name, lambda w: np.roll(w, 1, axis=1))
    found = compare(truth, broken)
    codes, play = open_session(broken.path), open_session(decoder.path)
    by_hand = []
    for number, passage in enumerate(evidence.passages):
        first = passage.place.first_frame
        own = codes.run(feeds[passage.feed])["codes"][:, :, first : first + 20]
        sound = play.run({"codes": own})["audio"][0, 0]
        distance = log_mel_db(passage.samples, sound, 44_100)
        by_hand.append(distance - truth.costs.sounds.reference[number].log_mel_db)
    assert found.cost_log_mel_db.value == pytest.approx(np.mean(by_hand), abs=1e-4)
    assert found.cost_log_mel_db.cannot_tell


def test_a_decoder_that_does_not_run_leaves_the_cost_unknown_and_says_why(
    small_models, decoder, tmp_path
):
    encoder = open_artifact(small_models / "codec_encoder.onnx")
    sound = probe_audio(0)[: FRAMES * HOP]
    gone = replace(decoder, path=tmp_path / "gone.onnx")
    evidence = Evidence(passages=passages([sound], 1), decoder=gone)
    found = compare(
        reference_truth(encoder, [{"audio": sound[None, None]}], evidence=evidence), encoder
    )
    assert found.cost_log_mel_db is None and found.token_agreement == 1
    assert any("no cost" in note and "gone.onnx" in note for note in found.notes)
