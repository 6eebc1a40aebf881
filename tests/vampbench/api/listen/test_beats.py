"""Beat trackers from the command line: the main job, and what vamping keeps of them."""

import json
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
import soundfile
from click.testing import CliRunner

from calibration.audio.clips import make_clip
from calibration.audio.load import read_audio
from calibration.feeds.source import Source
from optimize.truth.beats import match
from optimize.truth.status import Bounds, status_of
from profiles.sets import counted, totals_of
from profiles.targets.order import parse_targets
from tests.beat_tracker import clicks, save_tracker
from vampbench.api.listen.beats import codec_frames, track_beats
from vampbench.api.listen.vamp import Prompt
from vampbench.cli.console import Console
from vampbench.cli.judge.vamp import vamp_command
from vampbench.work.asked import Job
from vampbench.work.job import run_job
from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import load_model, open_artifact, save_model
from vampnet_models.records.accuracy import AccuracyReport, BeatShare
from vampnet_models.records.results import Model, Variant


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    return save_tracker(tmp_path_factory.mktemp("tracker") / "wavebeat.onnx")


def recorded(seconds):
    return make_clip("clicks", clicks(seconds, VAMPNET.sample_rate_hz), "test")


def test_a_recording_is_tracked_at_its_own_rate(tracker):
    found = track_beats(tracker, recorded(6))
    assert (np.diff(found) > 0).all() and found[0] >= 0 and found[-1] < 6
    onsets = np.arange(0.5, 6, 0.5)
    assert match(onsets, found, tolerance_s=0.06).recall > 0.8
    frames = codec_frames(found, VAMPNET)
    assert all(0 <= f * VAMPNET.hop_samples < 6 * VAMPNET.sample_rate_hz for f in frames)
    assert codec_frames(np.array([0.0, 0.001, 1.0]), VAMPNET) == (0, 57)


def test_a_tracker_of_fixed_length_hears_window_by_window(tracker, tmp_path):
    model = load_model(tracker)
    model.graph.inputs[0].shape = ir.Shape([1, 1, 44_032])
    save_model(model, tmp_path / "fixed.onnx")
    sound = recorded(5)
    whole, parts = track_beats(tracker, sound), track_beats(tmp_path / "fixed.onnx", sound)
    assert parts[-1] > 4 and parts[-1] < 5
    assert match(whole, parts).f_measure > 0.8


def test_another_model_is_refused(small_models):
    with pytest.raises(InputError, match="is a coarse model, not a beats one"):
        track_beats(small_models / "coarse.onnx", recorded(1))


def test_beats_join_the_periodic_prompt_or_stand_alone():
    shape = (1, 14, 30)
    alone = Prompt(period=0, beats=(5, 29), beat_width=1).mask(shape, VAMPNET.frame_s)
    kept = np.flatnonzero(alone[0, 0] == 0)
    assert kept.tolist() == [4, 5, 6, 28, 29]
    assert (alone[:, 3:] == 1).all()
    exact = Prompt(period=0, beats=(5,), beat_width=0).mask(shape, VAMPNET.frame_s)
    assert np.flatnonzero(exact[0, 0] == 0).tolist() == [5]
    both = Prompt(period=7, beats=(5, 29)).mask(shape, VAMPNET.frame_s)
    periodic = Prompt(period=7).mask(shape, VAMPNET.frame_s)
    np.testing.assert_array_equal(both, np.minimum(periodic, alone))
    assert Prompt(period=0).mask(shape, VAMPNET.frame_s).all()


def vamp_clicks(tracker, models, folder, *options):
    """Vamp on a second of clicks, in one step."""
    song = folder / "song.wav"
    soundfile.write(song, clicks(1, VAMPNET.sample_rate_hz), VAMPNET.sample_rate_hz)
    call = [str(song), "-o", str(folder / "out.wav"), "--models", str(models), "--steps", "1"]
    call += ["--period", "0", "--beats", str(tracker), *options]
    result = CliRunner().invoke(vamp_command, call, catch_exceptions=False)
    assert result.exit_code == 0
    return result


def test_vamp_keeps_the_beats_it_hears(tracker, small_models, tmp_path):
    result = vamp_clicks(tracker, small_models, tmp_path, "--beat-width", "2", "--json")
    found = json.loads(result.stdout)["result"]
    frames = codec_frames(track_beats(tracker, read_audio(tmp_path / "song.wav")), VAMPNET)
    assert found["beats"] == len(frames) > 0
    expected = Prompt(period=0, beats=frames, beat_width=2).mask((1, 14, 58), VAMPNET.frame_s)
    assert found["tokens_kept"] == pytest.approx(1 - expected.mean())
    assert found["tokens_kept"] > 0


def test_a_tracker_that_hears_nothing_is_said(small_models, tmp_path):
    deaf = save_tracker(tmp_path / "deaf.onnx", lower=100)
    assert "hears no beat" in vamp_clicks(deaf, small_models, tmp_path).output


def test_the_main_job_takes_a_tracker_alone(tracker, tmp_path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for i in range(4):
        sound = clicks(3, VAMPNET.sample_rate_hz, period_s=0.4 + 0.05 * i, seed=i)
        soundfile.write(sounds / f"{i}.wav", sound, VAMPNET.sample_rate_hz)
    job = Job(
        models=(tracker,),
        out=tmp_path / "out",
        command="vampbench run",
        source=Source(sounds),
        recipes=("fp16", "int8-dynamic"),
        targets=parse_targets("cpu"),
        rounds=1,
        budget_s=1.0,
    )
    results = run_job(job, Console())
    (model,) = results.models
    assert model.role == "beats"
    assert results.source_bytes == open_artifact(tracker).bytes
    assert not any("no encoder" in w for w in results.audio_set.warnings)
    found = {v.recipe: v for v in model.variants}
    assert [v.status for v in found.values()] == ["ok", "ok"]
    assert found["fp16"].accuracy.token_agreement > 0.9
    assert found["fp16"].accuracy.snr_db > 30
    assert found["fp16"].profiles["cpu"].audio_s == 2
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Beats within 20 ms, interval" in page


def test_sums_leave_trackers_out_beside_other_models():
    def model(role, size):
        variant = Variant("fp16", "ok", bytes=size // 2)
        return Model(role, role, source_bytes=size, variants=(variant,))

    coarse, beats = model("coarse", 100), model("beats", 10)
    assert counted([coarse, beats]) == [coarse]
    assert totals_of([coarse, beats]) == {"fp16": 50}
    assert totals_of([beats]) == {"fp16": 5}


def test_a_missed_share_of_beats_is_called_so():
    beats = BeatShare("beat", 0.8, 0.8, 10, 10)
    accuracy = AccuracyReport(token_agreement=0.8, per_beat_kind=(beats,))
    status, reason = status_of(accuracy, Bounds(0.9))
    assert status == "missed" and reason.startswith("share of beats 0.8000")
    assert status_of(replace(accuracy, token_agreement=None), Bounds(0.9)) == ("ok", None)
