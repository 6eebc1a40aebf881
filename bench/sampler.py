"""What sampling costs beside the model: CPU seconds of both, and the sampler's share.

    python -m bench.sampler MODELS [--set NAME] [--rounds N]

MODELS has coarse.onnx and c2f.onnx. Each stage generates a window as `vamp` does, with one thread;
what is waited for on a busy machine is not in it. On N threads the model's time falls, at best to
an Nth, and the sampler's does not. Results are written beside those of other sets.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from optimize.truth.swap import PERIOD_FRAMES
from profiles.host import describe_host
from vampnet_models.chain.pipeline import forward_of
from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    COARSE_SAMPLING,
    Codes,
    Logits,
    full_mask,
    periodic_mask,
    sample_all,
)
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.onnxfile.session import Session, open_session
from vampnet_models.records.generic import as_json
from vampnet_models.repair.layouts import inputs_of, session_spec
from vampnet_models.spec import Role, conditioning_of

_OUT = Path(__file__).parent / "results" / "sampler.json"
_WINDOWS = (("coarse", 575), ("c2f", 173), ("c2f", 575))
"""Frames: 10 s, and c2f's 3 s."""


@dataclass(frozen=True)
class Share:
    """Of one window: medians over the rounds.

    tokens: how many were drawn, all steps together.
    sampler_s, model_s: CPU seconds of all steps.
    share: the sampler's of both, with the least and the largest of a round.
    """

    frames: int
    rounds: int
    tokens: int
    sampler_s: float
    model_s: float
    share: float
    low: float
    high: float


def share_of(session: Session, frames: int, rounds: int) -> Share:
    """Let a transformer generate a window `rounds` times, after one that is not counted."""
    spec = session_spec(session)
    books = inputs_of(spec).codes.shape[1]
    assert isinstance(books, int)
    given = conditioning_of(spec)
    codes = np.random.default_rng(0).integers(0, spec.lengths_of.codebook_size, (1, books, frames))
    coarse = spec.role is Role.COARSE
    mask = periodic_mask(codes.shape, PERIOD_FRAMES) if coarse else full_mask(codes.shape)
    forward, in_model_s, drawn = forward_of(session), 0.0, 0

    def timed(codes: Codes, mask: Codes) -> Logits:
        nonlocal in_model_s, drawn
        start_s = time.process_time()
        logits = forward(codes, mask)
        in_model_s += time.process_time() - start_s
        drawn += int(mask.sum())
        return logits

    found = []
    for _ in range(rounds + 1):
        in_model_s, drawn, start_s = 0.0, 0, time.process_time()
        options = COARSE_SAMPLING if coarse else C2F_SAMPLING
        sample_all(timed, codes, mask, books - given, options)
        found.append((time.process_time() - start_s - in_model_s, in_model_s))
    shares = [ours_s / (ours_s + model_s) for ours_s, model_s in found[1:]]
    sampler_s, model_s = (median(each) for each in zip(*found[1:], strict=True))
    return Share(
        frames, rounds, drawn, sampler_s, model_s, median(shares), min(shares), max(shares)
    )


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sampler")
    parser.add_argument("models", type=Path)
    parser.add_argument("--set", default="built-in", help="what these models are called")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = json.loads(_OUT.read_text())["rows"] if _OUT.is_file() else []
    rows = [row for row in rows if row["set"] != options.set]
    for stage, frames in _WINDOWS:
        found = share_of(
            open_session(options.models / f"{stage}.onnx", threads=1), frames, options.rounds
        )
        rows.append({"set": options.set, "stage": stage, **asdict(found)})
        print(
            f"{stage} {frames} frames: sampler {found.sampler_s:.3f} s, model {found.model_s:.3f} s"
            f", {found.share:.1%} ({found.low:.1%} to {found.high:.1%})",
            flush=True,
        )
    content = {
        "command": "python -m bench.sampler MODELS",
        "host": as_json(describe_host()),
        "rows": rows,
    }
    write_text(_OUT, json.dumps(content, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    _main()
