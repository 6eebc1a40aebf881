import pytest

from profiles.count.music import Pace, RoleTime, audio_s, chain_of, pace_of, seconds_per_piece
from vampnet_models.family import FAMILIES, VAMPNET
from vampnet_models.records.profiles import Failure, Measurement
from vampnet_models.spec import Role

DAC_16 = FAMILIES[3]


def test_audio_seconds_of_feeds():
    assert audio_s(Role.CODEC_ENCODER, {"audio": (2, 1, 44100)}, VAMPNET) == 2
    assert audio_s(Role.CODEC_ENCODER, {"audio": (1, 1, 44100)}, DAC_16) == 44100 / 16000
    assert audio_s(Role.CODEC_DECODER, {"codes": (1, 12, 50)}, DAC_16) == 1
    codes = {"codes": (1, 4, 575), "mask": (1, 4, 575)}
    for family in (VAMPNET, None):
        assert audio_s(Role.COARSE, codes, family) == pytest.approx(10.0136, abs=1e-3)
    assert audio_s(Role.CODEC_DECODER, {"codes": (1, 12, 50)}, None) is None
    assert audio_s(Role.BEATS, {"audio": (2, 1, 44100)}, None) == 4
    assert audio_s(Role.GENERIC, {"x": (1, 2)}, None) is None


def test_rates_by_role():
    sound, beats = {"audio": (1, 1, 88200)}, {"audio": (1, 1, 44100)}
    assert pace_of(Role.CODEC_ENCODER, sound, 0.5, VAMPNET).real_time_factor == 0.25
    assert pace_of(Role.CODEC_ENCODER, {"audio": (1, 1, 32000)}, 0.5, DAC_16).audio_s == 2
    assert pace_of(Role.CODEC_ENCODER, sound, 0.5, None) == Pace()
    assert pace_of(Role.BEATS, beats, 0.5, None).real_time_factor == 0.25
    step = pace_of(Role.COARSE, {"codes": (1, 4, 100)}, 0.2, VAMPNET)
    assert step.ms_per_step == pytest.approx(200)
    assert pace_of(Role.GENERIC, {"x": (1,)}, 1.0, None) == Pace()


def test_seconds_per_ten_seconds_of_music():
    window_s, short_s = 575 * 768 / 44100, 173 * 768 / 44100
    times = {
        Role.CODEC_ENCODER: RoleTime(0.2, 5.0),
        Role.CODEC_DECODER: RoleTime(0.5, 5.0),
        Role.COARSE: RoleTime(1.0, window_s),
        Role.C2F: RoleTime(0.3, short_s),
    }
    seconds, notes = seconds_per_piece(times, VAMPNET)
    assert seconds == pytest.approx(0.4 + 1.0 + 12 * 1.0 + 2 * 0.3 * 4)
    assert len(notes) == 1
    times[Role.COARSE] = RoleTime(0.2, window_s / 5)
    seconds, notes = seconds_per_piece(times, VAMPNET)
    assert seconds == pytest.approx(0.4 + 1.0 + 12 * 1.0 + 2.4)
    assert "scaled from 115 to 575" in notes[1]


def test_no_chain_without_all_roles():
    assert seconds_per_piece({Role.COARSE: RoleTime(1.0, 1.0)}, VAMPNET) is None


def test_the_chain_needs_a_measurement_of_every_role():
    record = Measurement(target="cpu", median_s=0.5, audio_s=5.0)
    roles = (Role.CODEC_ENCODER, Role.COARSE, Role.C2F, Role.CODEC_DECODER)
    found = chain_of("x", "cpu", dict.fromkeys(roles, record), VAMPNET)
    assert found.kind == "derived"
    assert found.s_per_10s_of_music > 2
    assert any("coarse scaled from 287" in line for line in found.assumptions)
    assert chain_of("x", "cpu", dict.fromkeys(roles, Failure("cpu", "no kernel")), VAMPNET) is None
