"""`python -m training.train --work FOLDER`: the whole training, resumable, in one command.

`--stages` runs a part, so that the three last stages can share the cores: once the tokens are
written, `decoder`, `coarse` and `c2f` are independent of each other.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import torch

from training import config
from training.config import Stage
from training.data.audio import Audio
from training.data.held_out import excerpts
from training.data.pool import Amounts, Pool, build_pool, cached_pool
from training.data.scores import Work, cached_scores
from training.data.tokens import TokenSet, as_set, cached_tokens, encode, fresh_tokens, pool_tokens
from training.memory import keep_freed_memory
from training.networks.codec import Codec
from training.networks.quantizer_init import fit_quantizer
from training.networks.snake import compile_snake
from training.networks.transformer import VampNet
from training.stages.checkpoint import load_original, save_original, write
from training.stages.loop import STOP, InterruptedTrainingError
from training.stages.train_codec import latents_of, train_autoencoder, train_decoder
from training.stages.train_joint import train_joint
from training.stages.train_tokens import train_transformer

_STAGES = ("codec", "tokens", "decoder", "coarse", "c2f", "export")
# 3 hours and 12 minutes, rendered in minutes and kept in the work folder alone.
POOL = Amounts(renditions=290, arrangements=36, melodies=12, drums=18, speech=20, noise=8)
VALIDATION_TRACKS, VALIDATION_S = 12, 4.0
TOKEN_VALIDATION_TRACKS, TOKEN_VALIDATION_S = 16, 12.0
FIT_CROPS, FIT_FRAMES = 480, 86


def _codec_from(path: Path) -> Codec:
    state, kwargs = load_original(path)
    codec = Codec(**kwargs)
    codec.load_state_dict(state)
    return codec


def _autoencoder(pool: Pool, validation: list[Audio], work: Path) -> Codec:
    """Encoder and decoder without a quantizer, `autoencoder.pth` once they are trained."""
    path = work / "autoencoder.pth"
    if path.exists():
        return _codec_from(path)
    codec = Codec(**config.CODEC_KWARGS)  # type: ignore[arg-type]
    train_autoencoder(codec, pool, validation, config.AUTOENCODER, work)
    save_original(path, codec.state_dict(), config.CODEC_KWARGS, half=True)
    return codec


def _train_codec(pool: Pool, validation: list[Audio], work: Path) -> None:
    """Autoencoder, fitted quantizer, both together; tokens of `codec_frozen.pth` are final."""
    if (work / "codec_frozen.pth").exists():
        return
    codec = _autoencoder(pool, validation, work)
    fitted = work / "fitted.state"
    if fitted.exists():
        codec.load_state_dict(torch.load(fitted, weights_only=True))
    else:
        latents = latents_of(codec, pool, FIT_CROPS, FIT_FRAMES, config.SEED)
        left = fit_quantizer(codec, latents, config.SEED)
        print("latent variance left after each codebook:", [round(x, 3) for x in left])
        write(fitted, codec.state_dict())
    train_joint(codec, pool, validation, config.JOINT, work)
    # Rounded here, before any token is made: what ships is what the transformers learn from.
    save_original(work / "codec_frozen.pth", codec.state_dict(), config.CODEC_KWARGS, half=True)


def _transformer(
    codec: Codec,
    kwargs: dict[str, object],
    tokens: TokenSet,
    validation: list[Audio],
    stage: Stage,
    work: Path,
) -> None:
    model = VampNet(codec.codebooks(), **kwargs)  # type: ignore[arg-type]
    train_transformer(model, tokens, [encode(codec, x) for x in validation], stage, work)
    save_original(work / f"{stage.name}.pth", model.state_dict(), kwargs, half=True)


def _export(work: Path) -> None:
    """The decoder's best averaged weights join encoder and quantizer: writes `codec.pth`."""
    if (work / "codec.pth").exists():
        return
    state, kwargs = load_original(work / "codec_frozen.pth")
    if (work / "decoder.best").exists():
        tuned = torch.load(work / "decoder.best", weights_only=True)
        state |= {name: value for name, value in tuned.items() if name.startswith("decoder.")}
    save_original(work / "codec.pth", state, kwargs, half=True)


def _main() -> None:
    """Run the chosen stages; what an earlier run finished is not done again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=Path("../shared/audio"))
    parser.add_argument("--work", type=Path, required=True, help="states, logs and results")
    parser.add_argument("--stages", nargs="+", choices=_STAGES, default=list(_STAGES))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(config.SEED)
    keep_freed_memory()
    if {"codec", "tokens", "decoder"} & set(options.stages):
        compile_snake()

    def works() -> list[Work]:
        return cached_scores(work / "scores.npz")

    def pool() -> Pool:
        return cached_pool(
            work / "pool.npz", lambda: build_pool(options.audio, works(), config.SEED, POOL)
        )

    def codec() -> Codec:
        return _codec_from(work / "codec_frozen.pth")

    def tokens() -> TokenSet:
        return cached_tokens(
            work / "tokens.npz",
            lambda: as_set(
                chain(pool_tokens(codec(), pool()), fresh_tokens(codec(), works(), options.audio))
            ),
        )

    def validation(count: int, duration_s: float) -> list[Audio]:
        return excerpts(works(), "validation", count, duration_s)

    def transformer(kwargs: dict[str, object], stage: Stage) -> None:
        if (work / f"{stage.name}.pth").exists():
            return
        judged = validation(TOKEN_VALIDATION_TRACKS, TOKEN_VALIDATION_S)
        _transformer(codec(), kwargs, tokens(), judged, stage, work)

    steps: dict[str, Callable[[], object]] = {
        "codec": lambda: _train_codec(pool(), validation(VALIDATION_TRACKS, VALIDATION_S), work),
        "tokens": tokens,
        "decoder": lambda: train_decoder(
            codec(), pool(), validation(VALIDATION_TRACKS, VALIDATION_S), config.DECODER, work
        ),
        "coarse": lambda: transformer(config.COARSE_KWARGS, config.COARSE),
        "c2f": lambda: transformer(config.C2F_KWARGS, config.C2F),
        "export": lambda: _export(work),
    }
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: STOP.set())
    try:
        for name in options.stages:
            steps[name]()
    except InterruptedTrainingError as stop:
        sys.exit(f"{stop}; run the same command again to go on")


if __name__ == "__main__":
    _main()
