"""Both sides of the audio with their codes, or one of them."""

import numpy as np
import pytest
import soundfile

from calibration.audio.clips import BOTH_SIDES
from calibration.feeds.chain_inputs import prepare_inputs
from calibration.feeds.source import Source
from tests.heard import Heard
from vampnet_models.onnxfile.artifact import open_artifact


class Tasks(Heard):
    """Notes what was begun, too."""

    def __init__(self):
        super().__init__()
        self.tasks = []

    def task(self, name):
        self.tasks.append(name)
        return super().task(name)


@pytest.mark.parametrize(
    ("sides", "encoded"),
    [(("evaluation",), [0, 1]), (("calibration",), [1, 0]), (BOTH_SIDES, [1, 1])],
)
def test_a_side_that_nothing_is_fed_with_is_neither_encoded_nor_told_of(
    sides, encoded, small_models, tmp_path
):
    rng = np.random.default_rng(0)
    for number in range(2):
        sound = 0.1 * rng.standard_normal(44100).astype(np.float32)
        soundfile.write(tmp_path / f"{number}.wav", sound, 44100)
    told = Tasks()
    encoder = open_artifact(small_models / "codec_encoder.onnx")
    scratch = tmp_path / "scratch"
    inputs = prepare_inputs([encoder], Source(tmp_path), scratch, 1, told, None, sides)
    assert [len(inputs.calibration.codes), len(inputs.evaluation.codes)] == encoded
    assert [t for t in told.tasks if "encoding" in t] == [f"encoding {s} audio" for s in sides]
    assert [line.split()[0] for line in told.warnings] == list(sides)
    assert all("only 1.0 s of audio" in line for line in told.warnings)
