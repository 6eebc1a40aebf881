"""`vampbench swap`: which stage is to blame, end to end and free-running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from optimize.truth.swap import SwapRow
from vampbench.api.listen import swap as swapping
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.records.accuracy import Figure, FreeRun
from vampnet_models.text import percent


@click.command()
@click.argument("models_dir", type=options.PATH)
@click.argument("variants_dir", type=options.PATH)
@options.audio
@click.option(
    "--clips",
    type=options.STEPS,
    default=swapping.CLIPS,
    show_default=True,
    help="Clips of 3 s to go through the chain.",
)
@click.option(
    "--steps",
    type=options.STEPS,
    default=12,
    show_default=True,
    help="Sampling steps of the coarse model.",
)
@options.sample_rate
@options.threads
@options.as_json
def swap(
    models_dir: Path,
    variants_dir: Path,
    audio: Path | None,
    clips: int,
    steps: int,
    sample_rate_hz: int | None,
    threads: int,
    as_json: bool,
) -> None:
    """Exchange each stage of the chain in MODELS_DIR by the one in VARIANTS_DIR.

    Each stage alone, all but each, and all of them, against FP32, with the FP32 floor. Then both
    transformers sample freely from the same prompts and seeds: after how many steps do they
    leave the reference's path, and how many tokens end the same?

    \b
    Example:
      vampbench swap out/demo/builtin out/demo/variants/int8-dynamic
    """
    console = Console(as_json=as_json)
    found = swapping.swap(
        models_dir,
        variants_dir,
        audio,
        clips=clips,
        steps=steps,
        sample_rate_hz=sample_rate_hz,
        threads=threads,
        progress=console,
    )
    columns = ("exchanged", "agreement", "log-mel", "SI-SDR")
    intervals = " (95 % intervals)" if found.swap[0].tokens.n_clips > 1 else ""
    console.table(f"Whom to blame{intervals}", columns, _cells(found.swap))
    if (lacking := found.swap[0].tokens.cannot_tell) is not None:
        console.say(f"of other music: {lacking}")
    console.table(
        "Free-running",
        ("model", "agreement", "never apart", "first apart after step"),
        [
            (f"{model}, {name}", *_run_cells(run))
            for model, runs in found.free_running.items()
            for name, run in runs.items()
        ],
    )
    console.json(found.as_json())


def _cells(rows: tuple[SwapRow, ...]) -> list[tuple[str, ...]]:
    return [
        (
            row.name,
            _cell(row.tokens, percent),
            _cell(row.log_mel_db, lambda value: f"{value:.3f} dB"),
            _cell(row.si_sdr_db, lambda value: f"{value:.1f} dB"),
        )
        for row in rows
    ]


def _cell(found: Figure, text: Callable[[float], str]) -> str:
    """A figure with its interval; a single clip has none."""
    if found.n_clips < 2 and found.value is not None:
        return text(found.value)
    value, low, high = (
        "-" if each is None else text(each) for each in (found.value, found.low, found.high)
    )
    return f"{value} ({low} to {high})"


def _run_cells(run: FreeRun) -> tuple[str, ...]:
    first = [step for step in run.first_divergence if step is not None]
    where = ", ".join(str(step + 1) for step in first) or "-"
    return (percent(run.kept), f"{run.undiverged} of {len(run.first_divergence)}", where)
