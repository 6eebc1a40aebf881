import numpy as np
import pytest

from optimize.truth.free_running import Prompt, free_running
from optimize.truth.swap import _STAGES, swap_table
from vampnet_models.architectures.synth import probe_audio
from vampnet_models.chain import pipeline
from vampnet_models.chain.tokens import SamplingOptions, full_mask, periodic_mask
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.session import Session, open_session


class Disturbed(Session):
    """A real session whose logits prefer class 7 from the second call on."""

    def __init__(self, session: Session, from_call: int) -> None:
        super().__init__(session.raw, session.name)
        self.calls, self.from_call = 0, from_call

    def run(self, feeds, outputs=None):
        found = super().run(feeds, outputs)
        if "logits" in found:
            self.calls += 1
            if self.calls > self.from_call:
                found["logits"] = found["logits"].copy()
                found["logits"][..., 7] += 50
        return found


@pytest.fixture(scope="module")
def coarse(small_models):
    return open_session(small_models / "coarse.onnx", threads=1)


def prompts(n=2):
    rng = np.random.default_rng(0)
    shape = (1, 4, 20)
    return [Prompt(rng.integers(0, 1024, shape), periodic_mask(shape, 5), k) for k in range(n)]


def test_a_model_follows_itself_to_the_end(coarse):
    found = free_running(coarse, {"same": coarse}, prompts(), 4, SamplingOptions(steps=3))["same"]
    assert found.kept == 1 and found.per_step == (1, 1, 1)
    assert found.first_divergence == (None, None) and found.undiverged == 2
    assert found.n_tokens == 2 * int(periodic_mask((1, 4, 20), 5).sum())


def test_the_first_divergence_is_the_step_where_it_happened(coarse):
    told = []
    other = Disturbed(coarse, from_call=1)
    found = free_running(
        coarse, {"other": other}, prompts(1), 4, SamplingOptions(steps=4), lambda *a: told.append(a)
    )["other"]
    assert found.first_divergence == (1,)
    assert found.per_step[0] == 1 and found.per_step[1] < 1
    assert found.kept == found.per_step[-1] < 0.9
    assert told == [(1, 1)]


def test_nothing_to_generate_is_refused(coarse):
    empty = Prompt(np.zeros((1, 4, 8), np.int64), full_mask((1, 4, 8)) * 0, 0)
    with pytest.raises(InputError, match="anything to generate"):
        free_running(coarse, {"same": coarse}, [empty], 4, SamplingOptions(steps=2))


def test_the_swap_table_blames_the_stage_that_differs(small_models):
    def chain(threads):
        names = ("codec_encoder", "coarse", "c2f", "codec_decoder")
        return pipeline.Chain(
            *(open_session(small_models / f"{n}.onnx", threads=threads) for n in names)
        )

    reference = chain(1)
    variant = pipeline.Chain(
        reference.encoder, Disturbed(reference.coarse, 0), reference.c2f, reference.decoder
    )
    clips = [probe_audio(seed)[:20_000] for seed in (1, 2)]
    sources = [("song", "song@0.0s"), ("other", "other")]
    rows = swap_table(
        reference, variant, chain(2), clips, sources, 44_100, SamplingOptions(steps=2)
    )
    table = {row.name: row for row in rows}
    tokens = {row.name: row.tokens.value for row in rows}
    assert len(rows) == 2 + 2 * len(_STAGES)
    for stage in ("encoder", "c2f", "decoder"):
        assert tokens[f"{stage} alone"] == 1 and table[f"{stage} alone"].log_mel_db.value == 0
        assert tokens[f"all but {stage}"] < 0.9
    assert tokens["all but coarse"] == 1
    assert tokens["coarse alone"] == tokens["all"] < 0.9
    assert tokens["floor"] > 0.99
    both = table["all"].tokens
    assert set(both.per_recording) == {"song", "other"} and both.low < both.value < both.high
    assert "2 recordings and 2 clips" in both.cannot_tell
    assert table["all"].exchanged == _STAGES
