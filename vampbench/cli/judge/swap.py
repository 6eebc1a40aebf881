"""`vampbench swap`: which stage is to blame, end to end and free-running."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from calibration.audio.two_folders import load_audio
from optimize.truth.free_running import FreeRun, floor_session, free_runs
from optimize.truth.swap import SwapRow, swap_table
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.judge.vamp import find_stages, open_chain
from vampnet_models.chain.pipeline import Chain, encode
from vampnet_models.chain.tokens import Codes, SamplingOptions
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import Role
from vampnet_models.text import percent

_PER_RUN_CLIPS = 4
_CLIP_SAMPLES = 3 * 44_100


@click.command()
@click.argument("models_dir", type=options.PATH)
@click.argument("variants_dir", type=options.PATH)
@options.audio
@click.option(
    "--clips",
    type=click.IntRange(1, options.MOST_STEPS),
    default=_PER_RUN_CLIPS,
    show_default=True,
    help="Clips of 3 s to go through the chain.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, options.MOST_STEPS),
    default=12,
    show_default=True,
    help="Sampling steps of the coarse model.",
)
@options.threads
@options.as_json
def swap(
    models_dir: Path,
    variants_dir: Path,
    audio: Path | None,
    clips: int,
    steps: int,
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
    with scratch_folder() as folder:
        none: dict[Role, Path | None] = {}
        references = find_stages(models_dir, none, folder)
        variants = find_stages(variants_dir, none, folder)
        heard = load_audio(audio, console).evaluation[:clips]
        reference, variant = open_chain(references, threads), open_chain(variants, threads)
        floor = _floor(references)
        samples = [clip.samples[:_CLIP_SAMPLES] for clip in heard]
        sampling = SamplingOptions(steps=steps)
        with console.task("exchanging stages") as update:
            rows = swap_table(reference, variant, floor, samples, sampling, update)
        codes = [encode(reference.encoder, clip) for clip in samples]
        runs = {
            role.value: _free(role, sessions, codes, steps, console)
            for role, sessions in (
                (Role.COARSE, (reference.coarse, variant.coarse, floor.coarse)),
                (Role.C2F, (reference.c2f, variant.c2f, floor.c2f)),
            )
        }
    console.table("Whom to blame", ("exchanged", "agreement", "log-mel", "SI-SDR"), _cells(rows))
    console.table(
        "Free-running",
        ("model", "agreement", "never apart", "first apart after step"),
        [(f"{m}, {n}", *_run_cells(r)) for m, found in runs.items() for n, r in found.items()],
    )
    console.json(
        {
            "clips": [clip.name for clip in heard],
            "steps": steps,
            "swap": [asdict(row) for row in rows],
            "free_running": {
                model: {name: run.as_json() for name, run in found.items()}
                for model, found in runs.items()
            },
        }
    )


def _floor(references: dict[Role, Artifact]) -> Chain:
    encoder, coarse, c2f, decoder = (
        floor_session(references[r])
        for r in (Role.CODEC_ENCODER, Role.COARSE, Role.C2F, Role.CODEC_DECODER)
    )
    return Chain(encoder=encoder, coarse=coarse, c2f=c2f, decoder=decoder)


def _free(
    role: Role,
    sessions: tuple[Session, Session, Session],
    codes: list[Codes],
    steps: int,
    console: Console,
) -> dict[str, FreeRun]:
    reference, variant, floor = sessions
    with console.task(f"{role.value}: free-running") as update:
        others = {"variant": variant, "floor": floor}
        return free_runs(role, reference, others, codes, steps, update)


def _cells(rows: tuple[SwapRow, ...]) -> list[tuple[str, ...]]:
    return [
        (row.name, percent(row.tokens), f"{row.log_mel_db:.3f} dB", f"{row.si_sdr_db:.1f} dB")
        for row in rows
    ]


def _run_cells(run: FreeRun) -> tuple[str, ...]:
    first = [step for step in run.first_divergence if step is not None]
    where = ", ".join(str(step + 1) for step in first) or "-"
    return (percent(run.kept), f"{run.undiverged} of {len(run.first_divergence)}", where)
