from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.audio.clips import Clip, make_clip
from calibration.feeds.chain_feeds import Encoded, FeedSizes, encode_clips, make_feeds
from vampnet_models.architectures.synth import synth
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.spec import CHAIN_ROLES, FILE_STEMS, ModelSpec, Role, TensorSpec

SIZES = FeedSizes(clips=2, coarse_states=12, c2f_states=10, max_frames=40)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[Role, tuple[ModelSpec, Session]]:
    folder = tmp_path_factory.mktemp("small")
    synth("small", folder)
    paths = {role: folder / f"{FILE_STEMS[role]}.onnx" for role in CHAIN_ROLES}
    return {r: (open_artifact(p).spec, open_session(p, threads=1)) for r, p in paths.items()}


def clips(n: int = 3) -> list[Clip]:
    rng = np.random.default_rng(0)
    return [
        make_clip(
            f"clip{i}",
            (0.1 * rng.standard_normal(40_000 + 5000 * i)).astype("f4"),
            "test",
            recording=None if i else "song",
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def encoded(chain: dict[Role, tuple[ModelSpec, Session]]) -> Encoded:
    return encode_clips(chain[Role.CODEC_ENCODER][1], clips(), audio="test")


def test_every_role_gets_feeds_that_its_model_runs(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded
) -> None:
    for role, (spec, session) in chain.items():
        coarse = chain[Role.COARSE][1]
        found = make_feeds(spec, encoded, SIZES, session=session, coarse=coarse)
        assert found.role is role and found.audio == "test"
        assert len(found.feeds) == len(found.labels)
        assert len(found.feeds) == {Role.COARSE: 12, Role.C2F: 10}.get(role, 2)
        outputs = session.run(found.feeds[-1])
        assert all(np.isfinite(v).all() for v in outputs.values())


def test_codec_feeds_are_the_clips_and_their_codes(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded
) -> None:
    audio = make_feeds(chain[Role.CODEC_ENCODER][0], encoded, SIZES)
    codes = make_feeds(chain[Role.CODEC_DECODER][0], encoded, SIZES)
    assert audio.feeds[0]["audio"].shape == (1, 1, 40_000)
    np.testing.assert_array_equal(audio.feeds[0]["audio"][0, 0], encoded.clips[0].samples)
    assert codes.feeds[0]["codes"].shape == (1, 14, -(-40_000 // 768))
    assert [label.clip for label in codes.labels] == ["clip0", "clip1"]
    assert codes.upstream == "reference"


def test_coarse_states_come_from_the_references_sampling(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded
) -> None:
    spec, session = chain[Role.COARSE]
    found = make_feeds(spec, encoded, SIZES, session=session)
    again = make_feeds(spec, encoded, SIZES, session=session)
    assert found.sha256 == again.sha256
    assert found.sha256 != make_feeds(spec, encoded, SIZES, session=session, seed=1).sha256
    assert {f["codes"].shape for f in found.feeds} == {(1, 4, 40)}
    assert set(found.sources) == {("song", "clip0"), ("clip1", "clip1"), ("clip2", "clip2")}
    assert found.coverage().prompts["everything"] >= 3
    assert not found.warnings


def test_fine_states_are_conditioned_on_clips_and_on_the_coarse_model(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded
) -> None:
    spec, session = chain[Role.C2F]
    both = make_feeds(spec, encoded, SIZES, session=session, coarse=chain[Role.COARSE][1])
    assert {label.codes_from for label in both.labels} == {"encoder", "coarse"}
    alone = make_feeds(spec, encoded, SIZES, session=session)
    assert {label.codes_from for label in alone.labels} == {"encoder"}
    assert all(not f["mask"][:, :4].any() for f in both.feeds)
    full = make_feeds(spec, encoded, replace(SIZES, c2f_states=1, max_frames=None), session=session)
    assert full.feeds[0]["codes"].shape == (1, 14, 173)


def test_models_of_fixed_length_get_that_length(encoded: Encoded) -> None:
    spec = ModelSpec(
        Role.CODEC_ENCODER,
        (TensorSpec("audio_padded", "float32", (1, 1, 50_000)),),
        (TensorSpec("codes", "int64", (1, 14, 66)),),
        21,
    )
    feed = make_feeds(spec, encoded, SIZES).feeds[0]["audio_padded"]
    assert feed.shape == (1, 1, 50_000) and not feed[0, 0, 40_000:].any()


class WithoutLogits:
    """A transformer that only gives tokens, with a boolean mask of fixed length."""

    output_names = ("output",)


def test_a_transformer_without_logits_gets_uncovered_clips(encoded: Encoded) -> None:
    spec = ModelSpec(
        Role.COARSE,
        (TensorSpec("codes", "int64", ("b", 4, 100)), TensorSpec("mask", "bool", ("b", 4, 100))),
        (TensorSpec("output", "int64", ("b", 4, 100)),),
        17,
    )
    found = make_feeds(spec, encoded, SIZES, session=WithoutLogits())  # type: ignore[arg-type]
    assert {(f["codes"].shape, f["mask"].dtype.name) for f in found.feeds} == {
        ((1, 4, 100), "bool")
    }
    assert "no logits" in found.warnings[0]


def test_what_is_missing_is_said(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded
) -> None:
    spec, session = chain[Role.COARSE]
    with pytest.raises(InputError, match="need its reference model"):
        make_feeds(spec, encoded, SIZES)
    with pytest.raises(InputError, match="no clips"):
        make_feeds(spec, Encoded((), (), "empty", "reference"), SIZES, session=session)
    few = replace(encoded, codes=tuple(c[:, :2] for c in encoded.codes))
    with pytest.raises(InputError, match="takes 4 codebooks, the encoder gives 2"):
        make_feeds(spec, few, SIZES, session=session)


def test_the_set_survives_a_file(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded, tmp_path: Path
) -> None:
    from calibration.feeds.checked import read_feeds
    from calibration.feeds.feedset import load_feed_set

    spec, session = chain[Role.C2F]
    found = make_feeds(spec, encoded, SIZES, session=session)
    found.save_npz(tmp_path / "feeds.npz")
    assert load_feed_set(tmp_path / "feeds.npz").sha256 == found.sha256
    assert read_feeds(tmp_path / "feeds.npz", spec).sha256 == found.sha256


def test_decoders_also_get_what_the_transformers_generate(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded
) -> None:
    spec = chain[Role.CODEC_DECODER][0]
    sizes = replace(SIZES, generated=2)
    coarse, c2f = chain[Role.COARSE][1], chain[Role.C2F][1]
    found = make_feeds(spec, encoded, sizes, coarse=coarse, c2f=c2f)
    assert [label.codes_from for label in found.labels] == ["encoder", "encoder", "c2f", "c2f"]
    assert [label.prompt for label in found.labels[2:]] == ["everything", "periodic"]
    made, own = found.feeds[2]["codes"], found.feeds[0]["codes"]
    assert made.shape == own.shape and (made != own).mean() > 0.5
    assert found.coverage().codes_from == {"encoder": 2, "c2f": 2}
    again = make_feeds(spec, encoded, sizes, coarse=coarse, c2f=c2f)
    assert found.sha256 == again.sha256
    assert len(make_feeds(spec, encoded, sizes).feeds) == 2


def test_coverage_tells_lengths_and_kinds_of_sound(
    chain: dict[Role, tuple[ModelSpec, Session]], encoded: Encoded
) -> None:
    spec, session = chain[Role.COARSE]
    shares = replace(SIZES, coarse_states=36, window_shares=(1.0, 0.5))
    coverage = make_feeds(spec, encoded, shares, session=session).coverage()
    assert set(coverage.lengths) == {"20", "40"}
    assert sum(coverage.lengths.values()) == sum(coverage.classes.values()) == 36
