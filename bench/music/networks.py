"""The networks of `training` with the weights of raw ONNX exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from training.networks.codec import Codec
from training.networks.transformer import VampNet
from vampnet_models.onnxfile.artifact import load_model
from vampnet_models.onnxfile.session import Array
from vampnet_models.spec import CONFIG_KEY

_Network = TypeVar("_Network", bound=nn.Module)
_CODEC = (
    *("encoder_dim", "encoder_rates", "decoder_dim", "decoder_rates"),
    *("n_codebooks", "codebook_size", "codebook_dim", "sample_rate"),
)
_HEAD = "classifier.layers.0"


@dataclass(frozen=True)
class Networks:
    """In evaluation mode, float32, on the CPU."""

    codec: Codec
    coarse: VampNet
    c2f: VampNet


def load_networks(folder: Path) -> Networks:
    """The networks of the four exports in a folder; their weights exist once in memory.

    Raises KeyError or RuntimeError when an export is not VampNet's, unfused and in FP32.
    """
    return Networks(
        _codec(folder), *(_transformer(folder / f"{n}.onnx") for n in ("coarse", "c2f"))
    )


def _codec(folder: Path) -> Codec:
    encoder, config = _read(folder / "codec_encoder.onnx")
    decoder, _ = _read(folder / "codec_decoder.onnx")
    with torch.device("meta"):
        codec = Codec(**{name: config[name] for name in _CODEC}, quantizer_dropout=False)
    return _filled(codec, encoder | decoder)


def _transformer(path: Path) -> VampNet:
    found, config = _read(path)
    books = [found[f"embedding.{index}.weight"] for index in range(config["n_codebooks"])]
    tables = torch.stack([_tensor(book[:-1]) for book in books])
    with torch.device("meta"):
        network = VampNet(tables, **config, dropout=0.0)
    found["embedding.special.MASK"] = torch.stack([_tensor(book[-1]) for book in books]).numpy()
    for name in (f"{_HEAD}.weight", f"{_HEAD}.bias"):
        # An export has the codebook for the slow axis, the original has the class.
        split = found[name].reshape(network.n_predicted, network.vocab_size, -1)
        found[name] = split.swapaxes(0, 1).reshape(found[name].shape)
    return _filled(network, found)


def _read(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The weights of an export by their names, and its constructor arguments."""
    model = load_model(path)
    weights = {
        name: value.const_value.numpy()
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }
    return weights, json.loads(model.metadata_props[CONFIG_KEY])


def _filled(network: _Network, found: Mapping[str, Array]) -> _Network:
    """A network without memory, given its weights in the form that the original stores."""
    linear = {name for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    state: dict[str, Tensor] = {}
    for name in network.state_dict():
        layer, _, part = name.rpartition(".")
        if part == "weight_g":
            state |= _weight_norm(layer, _tensor(found[f"{layer}.weight"]))
        elif part != "weight_v":
            state[name] = _tensor(found[name].T if layer in linear else found[name])
    network.load_state_dict(state, assign=True)
    network.eval()
    return network


def _weight_norm(layer: str, weight: Tensor) -> dict[str, Tensor]:
    """The gain and the direction of a folded weight; that of a row of zeros is any."""
    gain = torch.norm_except_dim(weight, 2, 0)
    direction = torch.where(gain == 0, torch.ones_like(weight), weight)
    return {f"{layer}.weight_g": gain, f"{layer}.weight_v": direction}


def _tensor(values: Array) -> Tensor:
    """A copy of its own: an export's weights are mapped from its file."""
    return torch.tensor(values)
