"""The eager classes answer what the original classes answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from training.networks.codec import Codec  # noqa: E402
from training.networks.transformer import VampNet, fold_lora, masked  # noqa: E402
from training.stages.checkpoint import load_original  # noqa: E402


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "golden" / "golden.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def codec(shared: Path) -> Codec:
    state, kwargs = load_original(shared / "golden" / "codec.pth")
    model = Codec(**kwargs)
    model.load_state_dict(state)
    return model


def test_encoder_gives_the_golden_codes(codec: Codec, golden: dict[str, np.ndarray]) -> None:
    codes = codec.encode(torch.from_numpy(golden["codec_audio"]))
    np.testing.assert_array_equal(codes.numpy(), golden["codec_codes"])


def test_decoder_gives_the_golden_audio(codec: Codec, golden: dict[str, np.ndarray]) -> None:
    codes = torch.from_numpy(golden["codec_codes"])
    z = codec.quantizer.from_codes(codes).detach()
    np.testing.assert_allclose(z, golden["codec_z"], atol=1e-4)
    np.testing.assert_allclose(codec.decode(codes), golden["codec_decoded"], atol=1e-5)


@pytest.mark.parametrize(("name", "frames"), [("coarse", 100), ("coarse", 173), ("c2f", 100)])
def test_transformers_give_the_golden_logits(
    codec: Codec, shared: Path, golden: dict[str, np.ndarray], name: str, frames: int
) -> None:
    state, kwargs = load_original(shared / "golden" / f"{name}.pth")
    model = VampNet(codec.codebooks(), **kwargs).eval()
    model.load_state_dict(fold_lora(state))
    codes, mask = (torch.from_numpy(golden[f"{name}_{x}_{frames}"]) for x in ("codes", "mask"))
    with torch.no_grad():
        logits = model(masked(codes, mask))
    np.testing.assert_allclose(logits, golden[f"{name}_logits_{frames}"], atol=1e-4)
