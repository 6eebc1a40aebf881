"""Pieces, masks and passages that costs are measured on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.audio.clips import make_clip
from calibration.feeds.chain_feeds import Encoded, encode_clips, in_turn
from calibration.feeds.chain_inputs import ChainInputs, prepare_inputs
from calibration.feeds.evidence import (
    Evidence,
    Passage,
    Place,
    kept_evidence,
    masked_codes,
    pieces,
)
from calibration.feeds.model_evidence import evidence_of
from calibration.feeds.model_feeds import EVALUATION, side_feeds
from calibration.feeds.source import Source
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.spec import CHAIN_ROLES, FILE_STEMS, Role


def test_few_clips_are_cut_into_pieces_enough_and_many_are_not() -> None:
    few = pieces([230] * 8, 115)
    assert [len(clip) for clip in few] == [3] * 8
    assert few[0] == [range(0, 76), range(76, 153), range(153, 230)]
    uneven = pieces([288] * 7 + [60] * 5, 43)
    assert sum(map(len, uneven)) >= 24
    many = pieces([288] * 40, 115)
    assert [len(clip) for clip in many] == [1] * 40
    assert many[0] == [range(86, 201)]


def test_audio_that_is_too_short_to_cut_gives_what_there_is() -> None:
    assert pieces([20, 100], 115) == [[range(0, 20)], [range(0, 50), range(50, 100)]]


def test_every_recording_gives_pieces_before_one_gives_many() -> None:
    clips = [f"long {i}" for i in range(20)] + ["short 0"]
    chosen = in_turn(clips, 5, lambda clip: clip.split()[0])
    assert chosen == ("long 0", "long 5", "long 10", "long 15", "short 0")
    assert in_turn(clips[:2], 5, lambda clip: clip) == ("long 0", "long 1")


def masked(**changes):
    codes = np.random.default_rng(0).integers(1, 1024, (2, 1, 6, 50))
    windows = [(Place("song", "clip", 50 * i), codes[i]) for i in range(2)]
    how = {"given": 2, "ratios": (1.0, 0.5, 0.1), "length": None, "seed": 1} | changes
    return codes, masked_codes(windows, 6, **how)


def test_masks_take_the_ratios_in_turn_and_leave_the_given_codebooks() -> None:
    codes, found = masked()
    shares = [each.mask[:, 2:].mean() for each in found]
    assert sorted(shares) == pytest.approx([0.1, 0.1, 0.5, 0.5, 1, 1])
    for i in range(2):
        assert sorted(shares[i::2]) == pytest.approx([0.1, 0.5, 1])
    for number, each in enumerate(found):
        np.testing.assert_array_equal(each.codes, codes[number % 2])
        assert not each.mask[:, :2].any()
    half = next(each for each in found if each.mask.mean() == pytest.approx(1 / 3))
    assert all(0.2 < book.mean() < 0.8 for book in half.mask[0, 2:])


def test_the_same_seed_draws_the_same_masks_and_another_others() -> None:
    (_, one), (_, again), (_, other) = masked(), masked(), masked(seed=2)
    assert Evidence(one).sha256 == Evidence(again).sha256 != Evidence(other).sha256


def test_a_fixed_length_is_filled_up_where_nothing_is_counted() -> None:
    _, found = masked(length=64)
    assert {each.codes.shape for each in found} == {(1, 6, 64)}
    assert {each.n_frames for each in found} == {50}
    assert all(each.mask[:, 2:, 50:].all() and not each.mask[:, :2].any() for each in found)


@pytest.fixture(scope="module")
def inputs(small_models: Path) -> ChainInputs:
    artifacts = [open_artifact(small_models / f"{FILE_STEMS[role]}.onnx") for role in CHAIN_ROLES]
    rng = np.random.default_rng(0)
    sounds = (0.1 * rng.standard_normal((4, 60_000))).astype("f4")
    clips = [
        make_clip(f"song {i // 2}@{i}s", each, "test", recording=f"song {i // 2}")
        for i, each in enumerate(sounds)
    ]
    encoded = encode_clips(open_session(artifacts[0].path), clips, audio="test")
    empty = Encoded((), (), "test", "none")
    source = Source()
    return ChainInputs(
        source,
        source.load_audio(Reporter()),
        empty,
        encoded,
        None,
        "",
        (),
        decoder=artifacts[3],
    )


def found_for(role: Role, small_models: Path, inputs: ChainInputs) -> Evidence:
    artifact = open_artifact(small_models / f"{FILE_STEMS[role]}.onnx")
    feeds = side_feeds(artifact, inputs, EVALUATION, 1, Reporter())
    return evidence_of(artifact, inputs, feeds)


@pytest.mark.parametrize(("role", "books", "given"), [(Role.COARSE, 4, 0), (Role.C2F, 14, 4)])
def test_transformers_guess_the_clips_own_codes(small_models, inputs, role, books, given) -> None:
    found = found_for(role, small_models, inputs)
    own = dict(zip((c.name for c in inputs.evaluation.clips), inputs.evaluation.codes, strict=True))
    for each in found.masked:
        first = each.place.first_frame
        whole = own[each.place.clip][:, :books, first : first + each.n_frames]
        np.testing.assert_array_equal(each.codes, whole)
        assert each.mask[:, given:].any() and not each.mask[:, :given].any()
    assert {each.place.recording for each in found.masked} == {"song 0", "song 1"}
    ratios = {round(float(each.mask[:, given:].mean()), 1) for each in found.masked}
    assert len(ratios) > 3


def test_decoders_and_encoders_are_heard_where_the_recording_sounds(small_models, inputs) -> None:
    for role in (Role.CODEC_ENCODER, Role.CODEC_DECODER):
        found = found_for(role, small_models, inputs)
        clips = {clip.name: clip for clip in inputs.evaluation.clips}
        assert {each.feed for each in found.passages} == {0, 1, 2, 3}
        for each in found.passages:
            start = 768 * each.place.first_frame
            sound = clips[each.place.clip].samples[start : start + 768 * each.n_frames]
            np.testing.assert_array_equal(each.samples, sound)
            assert each.place.recording == clips[each.place.clip].recording
    assert found_for(Role.CODEC_ENCODER, small_models, inputs).decoder == inputs.decoder
    assert found_for(Role.CODEC_DECODER, small_models, inputs).decoder is None


def test_what_is_missing_in_the_chain_is_said(small_models, inputs) -> None:
    deaf = replace(inputs, decoder=None)
    assert "no decoder beside it" in found_for(Role.CODEC_ENCODER, small_models, deaf).note
    foreign = replace(inputs, own_codes=False)
    for role in (Role.COARSE, Role.CODEC_DECODER):
        found = found_for(role, small_models, foreign)
        assert "no encoder beside it" in found.note
        assert not found.masked and not found.passages


def test_the_codes_of_another_codec_are_known_as_such(small_models, tmp_path) -> None:
    coarse = open_artifact(small_models / "coarse.onnx")
    assert not prepare_inputs([coarse], Source(), tmp_path, 1, Reporter()).own_codes


def test_a_resumed_run_finds_it_and_another_decoder_makes_it_anew(
    small_models, inputs, tmp_path
) -> None:
    decoder = tmp_path / "decoder.onnx"
    decoder.write_bytes((small_models / "codec_decoder.onnx").read_bytes())
    place = Place("song", "clip", 3)
    passage = Passage(place, 1, 2, np.ones(1536, np.float32))
    _, codes = masked()
    first = Evidence(codes, (passage,), open_artifact(decoder), "a word")

    def refuse() -> Evidence:
        raise AssertionError("made again")

    assert kept_evidence(tmp_path, "m", "k" * 20, lambda: first) is first
    again = kept_evidence(tmp_path, "m", "k" * 20, refuse)
    assert again.sha256 == first.sha256
    assert again.masked[1].place == codes[1].place and again.note == "a word"
    decoder.write_bytes((small_models / "codec_encoder.onnx").read_bytes())
    with pytest.raises(AssertionError, match="made again"):
        kept_evidence(tmp_path, "m", "k" * 20, refuse)
