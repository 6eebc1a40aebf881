"""`python -m training.evaluate`: every figure of the model card, from the shipped weights.

Exit code 1 where a threshold is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TypedDict

import torch

from training import config
from training.data.pool import build_pool
from training.data.tokens import encode, held_out_arrangements, held_out_recordings, training_tokens
from training.figures.evaluate_codec import CodecFigures, codec_figures, usage_figures
from training.figures.evaluate_tokens import TokenFigures, audible, token_figures
from training.networks.codec import Codec, unit_variance_init
from training.networks.snake import compile_snake
from training.networks.transformer import VampNet, fold_lora
from training.stages.checkpoint import load_original

SHIPPED = Path(__file__).parents[1] / "vampnet_models" / "reference"
# A small, differently seeded sample of the training side gives the unigram distribution.
SAMPLE_SEED, SAMPLE_ARRANGEMENTS, SAMPLE_MELODIES, SAMPLE_PACKS = 31, 4, 1, 1
_HELD_OUT_ARRANGEMENTS = 4
_COARSE_USED_MIN = 0.30
_PERPLEXITY_MIN = 100.0
# Aims of the codec are told, not enforced; those of the transformers are thresholds too.
AIM_SI_SDR_DB, AIM_LOG_MEL_DB = 2.0, 4.3
_AIM_GAIN_NATS = {
    "coarse, held-out recordings": 0.0,
    "coarse, held-out arrangements": 0.5,
    "c2f, held-out recordings": 0.0,
    "c2f, held-out arrangements": 0.5,
}


class _Figures(TypedDict):
    """Everything that the model card tells, by recording, by side, by model and side."""

    codec: dict[str, CodecFigures]
    usage: dict[str, list[float]]
    usage_held_out: dict[str, list[float]]
    tokens: dict[str, TokenFigures]


def load_codec(folder: Path) -> Codec:
    """The shipped codec, in float32 arithmetic on its float16 weights."""
    state, kwargs = load_original(folder / "codec.pth")
    codec = Codec(**kwargs)
    codec.load_state_dict(state)
    return codec.eval()


def _load_transformer(folder: Path, name: str, codec: Codec) -> VampNet:
    """The shipped `coarse` or `c2f`, embedding with the codec's tables."""
    state, kwargs = load_original(folder / f"{name}.pth")
    model = VampNet(codec.codebooks(), **kwargs)
    model.load_state_dict(fold_lora(state))
    return model.eval()


def _untrained_codec(audio: torch.Tensor) -> Codec:
    """The same architecture at its start: random, unit-variance initialisation."""
    torch.manual_seed(config.SEED)
    codec = Codec(**config.CODEC_KWARGS)  # type: ignore[arg-type]
    unit_variance_init(codec, audio)
    return codec.eval()


def _figures(weights: Path, audio: Path) -> _Figures:
    """All figures as plain data."""
    codec = load_codec(weights)
    recordings = held_out_recordings(audio)
    sample = build_pool(
        audio, SAMPLE_SEED, SAMPLE_ARRANGEMENTS, SAMPLE_MELODIES, SAMPLE_PACKS, speeds=(1.0,)
    )
    training = training_tokens(codec, sample, audio, n_arrangements=0)
    noise = torch.randn(8, 1, 16128, generator=torch.Generator().manual_seed(config.SEED)) * 0.1
    untrained = _untrained_codec(noise)
    heard = {
        "recordings": list(recordings.values()),
        "arrangements": held_out_arrangements(audio, _HELD_OUT_ARRANGEMENTS),
    }
    sides = {
        side: [(encode(codec, x), audible(x)) for x in tracks] for side, tracks in heard.items()
    }
    transformers = {name: _load_transformer(weights, name, codec) for name in ("coarse", "c2f")}
    unigram = training.unigram(len(codec.codebooks()))
    return {
        "codec": {name: codec_figures(codec, untrained, x) for name, x in recordings.items()},
        "usage": usage_figures([t for kind in training.tracks.values() for t in kind]),
        "usage_held_out": usage_figures([t for kind in sides.values() for t, _ in kind]),
        "tokens": {
            f"{name}, held-out {side}": token_figures(model, tracks, unigram)
            for name, model in transformers.items()
            for side, tracks in sides.items()
        },
    }


def missed(result: _Figures) -> list[str]:
    """The thresholds that the figures do not reach, one line each."""
    lines: list[str] = []
    used = result["usage"]
    for index in range(config.N_COARSE):
        if used["share"][index] < _COARSE_USED_MIN:
            lines.append(f"codebook {index}: {used['share'][index]:.0%} of entries used")
    for index, perplexity in enumerate(used["perplexity"]):
        if perplexity < _PERPLEXITY_MIN:
            lines.append(f"codebook {index}: perplexity {perplexity:.0f} < {_PERPLEXITY_MIN:.0f}")
    for name, row in result["tokens"].items():
        least = _AIM_GAIN_NATS[name]
        if row["gain_nats"] < least or row["gain_nats"] <= 0.0:
            lines.append(f"{name}: gain {row['gain_nats']:.2f} < {least:.2f} nats")
    return lines


def aims(result: _Figures) -> list[str]:
    """What was aimed at, one line each: reached or missed. An aim is no threshold."""
    lines: list[str] = []
    for name, row in result["codec"].items():
        si_sdr_db, log_mel_db = row["si_sdr_db"]["14"], row["log_mel_db"]["14"]
        lines += [
            f"{_verdict(si_sdr_db >= AIM_SI_SDR_DB)} {name}, 14 codebooks: "
            f"SI-SDR {si_sdr_db:.2f} dB, aim {AIM_SI_SDR_DB:.1f} or more",
            f"{_verdict(log_mel_db < AIM_LOG_MEL_DB)} {name}, 14 codebooks: "
            f"log-mel {log_mel_db:.2f} dB, aim below {AIM_LOG_MEL_DB:.1f}",
        ]
    for name, figure in result["tokens"].items():
        gain, aim = figure["gain_nats"], _AIM_GAIN_NATS[name]
        lines.append(
            f"{_verdict(gain >= aim and gain > 0.0)} {name}: "
            f"{gain:.2f} nats below the unigram, aim {aim:.1f} or more"
        )
    return lines


def _verdict(is_reached: bool) -> str:
    return "reached" if is_reached else "missed "


def _table(result: _Figures) -> str:
    """The figures as the tables of the model card (Markdown)."""
    lines = ["| held-out recording | SI-SDR dB | log-mel dB | untrained | silence |"]
    lines.append("|---|---|---|---|---|")
    for name, heard in result["codec"].items():
        for n in ("14", "4"):
            lines.append(
                f"| {name}, {n} codebooks | {heard['si_sdr_db'][n]:.2f}"
                f" | {heard['log_mel_db'][n]:.2f}"
                f" | {heard['untrained_si_sdr_db']:.1f} / {heard['untrained_log_mel_db']:.1f}"
                f" | {heard['silence_log_mel_db']:.1f} |"
            )
    lines += ["", "| codebook | " + " | ".join(map(str, range(14))) + " |", "|---" * 15 + "|"]
    for used, title in ((result["usage"], "training"), (result["usage_held_out"], "held out")):
        lines.append(f"| {title}: perplexity | " + _cells(used["perplexity"], "{:.0f}"))
        lines.append(f"| {title}: share used | " + _cells(used["share"], "{:.2f}"))
    lines += [
        "",
        "| model and side | cross-entropy | unigram | chance | gain | hits | unigram hits |",
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for name, row in result["tokens"].items():
        lines.append(
            f"| {name} | {row['cross_entropy_nats']:.2f} | {row['unigram_nats']:.2f}"
            f" | {row['chance_nats']:.2f} | {row['gain_nats']:.2f}"
            f" | {row['accuracy']:.1%} | {row['unigram_accuracy']:.1%} |"
        )
    return "\n".join(lines)


def _cells(values: list[float], form: str) -> str:
    return " | ".join(form.format(v) for v in values) + " |"


def _main() -> None:
    """Print the tables and the aims; exit 1 where a threshold is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--audio", type=Path, default=Path("../shared/audio"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    compile_snake()
    result = _figures(options.weights, options.audio)
    print(_table(result), "", *aims(result), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    lines = missed(result)
    for line in lines:
        print("MISSED", line, file=sys.stderr)
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    _main()
