"""On the reference models: FP32 with other threads passes, weight noise and collapse fail."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.audio.samples import builtin_audio_set
from calibration.feeds.chain_feeds import encode_clips
from optimize.truth.song.pieces import play
from optimize.truth.song.prompts import prompts_of
from optimize.truth.song.set_song import Played, set_song
from tests.optimize.truth.test_accuracy import disturbed
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import CHAIN_ROLES, FILE_STEMS, Role

BIAS = "classifier.layers.0.bias"


def noisy(bias):
    return bias + np.random.default_rng(0).normal(0, 3, bias.shape).astype(np.float32)


def collapsed(bias):
    found = bias.reshape(-1, 1024).copy()
    found[:, 7] += 30
    return found.reshape(bias.shape)


@pytest.mark.long
def test_degraded_sets_fail_and_fp32_with_other_threads_passes(tmp_path):
    folder = builtin_models(tmp_path)
    fp32 = {role: open_artifact(folder / f"{FILE_STEMS[role]}.onnx") for role in CHAIN_ROLES}
    clips = builtin_audio_set(clip_s=1.0).evaluation
    encoder = open_session(fp32[Role.CODEC_ENCODER].path)
    (prompts,) = prompts_of(encode_clips(encoder, clips, audio="builtin"), VAMPNET)

    def played(stages, **more):
        return Played(*(play(stages, prompts, other_seeds=o, **more) for o in (False, True)))

    own, other_threads = played(fp32), played(fp32, floor=True)
    found = set_song(fp32, prompts, own, other_threads.same, other_threads)
    assert found.same_song.floor == found.same_song.value > 0.9
    assert found.is_as_likely is True and found.sounds_alike is True, found.told
    for name, change, how in (("noisy", noisy, "less"), ("collapsed", collapsed, "likely")):
        coarse = disturbed(fp32[Role.COARSE].path, tmp_path / f"{name}.onnx", BIAS, change)
        stages = {**fp32, Role.COARSE: replace(coarse, spec=fp32[Role.COARSE].spec)}
        found = set_song(fp32, prompts, own, other_threads.same, played(stages))
        assert found.is_as_likely is False, (name, found.told)
        assert how in found.told and found.same_song.value < 0.7
