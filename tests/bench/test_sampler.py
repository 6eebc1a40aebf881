"""What the sampler costs, on the small models."""

import pytest

from bench.sampler import share_of
from vampnet_models.chain.tokens import remask_count
from vampnet_models.onnxfile.session import open_session


@pytest.mark.parametrize(("stage", "steps", "masked"), [("coarse", 12, 4 * 6), ("c2f", 2, 10 * 7)])
def test_both_parts_of_a_window_are_told_and_every_draw_is_counted(
    small_models, stage, steps, masked
):
    found = share_of(open_session(small_models / f"{stage}.onnx", threads=1), 7, 2)
    drawn, now = masked, masked
    for step in range(steps - 1):
        now = remask_count(step, steps, masked, now)
        drawn += now
    assert (found.frames, found.rounds, found.tokens) == (7, 2, drawn)
    assert found.sampler_s > 0 and found.model_s > 0
    assert 0 < found.low <= found.share <= found.high < 1
