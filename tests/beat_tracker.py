"""A tiny seeded beat tracker with the published hop, and sound for it to find something in."""

import numpy as np

from tests.vampnet_models.make_checkpoint import random_state
from vampnet_models.architectures.wavebeat import WavebeatConfig, build_wavebeat, wavebeat_shapes
from vampnet_models.checkpoints.tensors import Ledger
from vampnet_models.onnxfile.artifact import save_model

CONFIG = WavebeatConfig(
    nblocks=4,
    kernel_size=9,
    stride=4,
    dilation_growth=2,
    channel_growth=1,
    channel_width=8,
    stack_size=2,
)

BIAS = np.array([70.5, -38.5], np.float32)
"""Brings both logits of seed 0 to about -1, so that some of its peaks are beats."""


class Given:
    """Tensors from a dict."""

    def __init__(self, state):
        self.state = state

    def names(self):
        return tuple(self.state)

    def shape(self, name):
        return self.state[name].shape

    def dtype(self, name):
        return self.state[name].dtype.name

    def read(self, name):
        return self.state[name]


def save_tracker(path, lower=0.0):
    """Write the tracker; `lower` is taken from its logits: with 100 no beat is left."""
    state = random_state(wavebeat_shapes(CONFIG))
    state["output.weight"] = 20 * (state["output.weight"] - 0.5)
    state["output.bias"] = BIAS - np.float32(lower)
    save_model(build_wavebeat(CONFIG, Ledger(Given(state))), path)
    return path


def clicks(seconds, rate_hz, period_s=0.5, seed=0):
    """float32 `[samples]`: decaying bursts of noise every `period_s`."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    envelope = np.exp(-(t % period_s) * 30)
    return (0.3 * envelope * rng.standard_normal(len(t))).astype(np.float32)
