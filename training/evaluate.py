"""`python -m training.evaluate`: every figure of the model card, from the shipped weights.

Exit code 1 where a threshold is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from training import config
from training.data.held_out import excerpts, held_out_recordings
from training.data.pool import Amounts, build_pool
from training.data.scores import Work, cached_scores
from training.data.tokens import as_set, encode, pool_tokens
from training.figures.aims import missed
from training.figures.card import card_parts
from training.figures.curves import stage_figures
from training.figures.evaluate_codec import codec_figures, usage_figures
from training.figures.evaluate_tokens import audible, token_figures
from training.figures.records import Figures, StageFigures
from training.networks.codec import Codec, unit_variance_init
from training.networks.snake import compile_snake
from training.networks.transformer import VampNet, fold_lora
from training.stages.checkpoint import load_original

SHIPPED = Path(__file__).parents[1] / "vampnet_models" / "reference"
# A small, differently seeded sample of the training side gives the unigram distribution.
_SAMPLE_SEED = 31
_SAMPLE = Amounts(
    renditions=24, arrangements=4, melodies=2, drums=1, speech=1, noise=1, speeds=(1.0,)
)
_HELD_OUT_WORKS, _WORK_S = 32, 15.0


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


def _figures(
    weights: Path, audio: Path, works: list[Work], stages: dict[str, StageFigures]
) -> Figures:
    """All figures as plain data."""
    codec = load_codec(weights)
    heard = held_out_recordings(audio)
    sample = as_set(pool_tokens(codec, build_pool(audio, works, _SAMPLE_SEED, _SAMPLE)))
    noise = torch.randn(8, 1, 16128, generator=torch.Generator().manual_seed(config.SEED)) * 0.1
    untrained = _untrained_codec(noise)
    tracks = {"works": excerpts(works, "held_out", _HELD_OUT_WORKS, _WORK_S)}
    tracks |= {name: [recording] for name, recording in heard.items()}
    sides = {
        side: [(encode(codec, x), audible(x)) for x in audios] for side, audios in tracks.items()
    }
    transformers = {name: _load_transformer(weights, name, codec) for name in ("coarse", "c2f")}
    unigram = sample.unigram(len(codec.codebooks()))
    return {
        "codec": {name: codec_figures(codec, untrained, x) for name, x in heard.items()},
        "usage": usage_figures([t for kind in sample.tracks.values() for t in kind]),
        "usage_held_out": usage_figures([t for t, _ in sides["works"]]),
        "tokens": {
            f"{name}, {side}": token_figures(model, judged, unigram)
            for name, model in transformers.items()
            for side, judged in sides.items()
        },
        "stages": stages,
    }


def _stages(work: Path, kept: Path | None) -> dict[str, StageFigures]:
    """The logs that the training left in its folder, by stage; without a log, what was kept."""
    told: dict[str, StageFigures] = {}
    if kept is not None and kept.exists():
        told = json.loads(kept.read_text(encoding="utf-8"))["stages"]
    for stage in config.STAGES:
        log = work / f"{stage.name}.jsonl"
        if log.exists():
            told[stage.name] = stage_figures(log.read_text(encoding="utf-8").splitlines())
    return told


def _main() -> None:
    """Print the tables and the aims; exit 1 where a threshold is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--audio", type=Path, default=Path("../shared/audio"))
    parser.add_argument("--work", type=Path, required=True, help="scores and logs")
    parser.add_argument(
        "--json", type=Path, help="write the figures here; a stage without a log keeps its own"
    )
    options = parser.parse_args()
    compile_snake()
    options.work.mkdir(parents=True, exist_ok=True)
    works = cached_scores(options.work / "scores.npz")
    stages = _stages(options.work, options.json)
    result = _figures(options.weights, options.audio, works, stages)
    print(*card_parts(result).values(), sep="\n\n")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    lines = missed(result)
    for line in lines:
        print("MISSED", line, file=sys.stderr)
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    _main()
