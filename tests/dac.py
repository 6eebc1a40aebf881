"""The original DAC's golden checkpoints (tests/fixtures/dac), and the models made of them."""

import gzip
from pathlib import Path

import numpy as np

from vampnet_models.importing.importer import import_models

FOLDER = Path(__file__).parent / "fixtures" / "dac"
RATES = (16000, 24000, 44100)
HOPS = {16000: 320, 24000: 320, 44100: 512}
CODEBOOKS = {16000: 12, 24000: 32, 44100: 9}


def golden(rate):
    return FOLDER / f"{rate}.npz"


def answers(rate):
    with np.load(golden(rate)) as stored:
        return {name: stored[name] for name in stored.files}


def write_checkpoint(rate, path):
    path.write_bytes(gzip.decompress((FOLDER / f"{rate}.pth.gz").read_bytes()))
    return path


def import_codec(rate, folder):
    """Write the encoder and the decoder of a rate; what the import answered."""
    checkpoint = write_checkpoint(rate, folder / "weights.pth")
    return import_models([checkpoint], folder / "models", golden=golden(rate), self_check=False)
