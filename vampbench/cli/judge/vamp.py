"""`vampbench vamp`: music in, a variation of it out, through any mix of variants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from vampbench.api.listen.vamp import Prompt, vamp
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.chain.noise import MAX_SEED
from vampnet_models.chain.tokens import SamplingOptions
from vampnet_models.spec import Role


def _role_option(name: str, role: Role) -> Callable[..., Callable[..., object]]:
    return click.option(
        f"--{name}",
        cls=options.Once,
        type=options.PATH,
        help=f"Use this {role.value} instead of the folder's.",
    )


@click.command("vamp")
@click.argument("recording", type=options.PATH)
@click.option(
    "--models",
    "models_dir",
    cls=options.Once,
    type=options.PATH,
    help="Default: the built-in models.",
)
@_role_option("encoder", Role.CODEC_ENCODER)
@_role_option("coarse", Role.COARSE)
@_role_option("c2f", Role.C2F)
@_role_option("decoder", Role.CODEC_DECODER)
@click.option(
    "--period",
    type=click.IntRange(0),
    default=7,
    show_default=True,
    help="Keep every PERIOD-th frame; 0 keeps none.",
)
@click.option(
    "--width",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Frames kept at each period.",
)
@click.option(
    "--beats",
    cls=options.Once,
    type=options.PATH,
    help="A beat tracker (.onnx): keep its beats, too.",
)
@click.option(
    "--beat-width",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Frames kept on either side of a beat.",
)
@click.option("--prefix", "prefix_s", type=options.Finite(0), default=0.0, help="Seconds kept.")
@click.option("--suffix", "suffix_s", type=options.Finite(0), default=0.0, help="Seconds kept.")
@click.option(
    "--upper-codebook",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Generate every codebook from this one on.",
)
@click.option(
    "--steps",
    type=options.STEPS,
    default=12,
    show_default=True,
    help="Sampling steps of the coarse model.",
)
@click.option(
    "--temperature",
    type=options.Finite(0),
    default=1.0,
    show_default=True,
    help="Of the coarse model.",
)
@click.option(
    "--typical-mass",
    type=options.Finite(0, 1),
    default=0.0,
    show_default=True,
    help="Typical filtering; 0 is off.",
)
@click.option(
    "--duration",
    "duration_s",
    type=options.Finite(min=0, min_open=True),
    help="Seconds of the recording to take (default: all).",
)
@click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    default=0,
    show_default=True,
    help="Same seed, same song, on any machine.",
)
@options.sample_rate
@options.threads
@options.output
@options.as_json
def vamp_command(
    recording: Path,
    models_dir: Path | None,
    encoder: Path | None,
    coarse: Path | None,
    c2f: Path | None,
    decoder: Path | None,
    period: int,
    width: int,
    beats: Path | None,
    beat_width: int,
    prefix_s: float,
    suffix_s: float,
    upper_codebook: int,
    steps: int,
    temperature: float,
    typical_mass: float,
    duration_s: float | None,
    seed: int,
    sample_rate_hz: int | None,
    threads: int,
    out: Path,
    as_json: bool,
) -> None:
    """Generate a variation of RECORDING, of the same length.

    Every PERIOD-th frame of the lower codebooks is kept as the prompt; --prefix and --suffix
    keep whole seconds. With --beats, the frames around each beat and downbeat that the tracker
    hears are kept as well; with --period 0 they alone.

    Same seed, same song: each token has random numbers of its own, fixed by --seed and its place,
    so that another variant or machine changes only the tokens that its logits change.

    \b
    Examples:
      vampbench vamp song.wav -o vamped.wav --models models --coarse coarse.int8.onnx
      vampbench vamp song.wav -o vamped.wav --beats models/wavebeat.onnx --period 0
    """
    console = Console(as_json=as_json)
    given = {
        Role.CODEC_ENCODER: encoder,
        Role.COARSE: coarse,
        Role.C2F: c2f,
        Role.CODEC_DECODER: decoder,
    }
    found = vamp(
        recording,
        out,
        models=models_dir,
        stages={role: path for role, path in given.items() if path is not None},
        prompt=Prompt(
            period, width, prefix_s, suffix_s, upper_codebook, seed, beat_width=beat_width
        ),
        sampling=SamplingOptions(
            steps=steps, temperature=temperature, typical_mass=typical_mass, seed=seed
        ),
        tracker=beats,
        duration_s=duration_s,
        sample_rate_hz=sample_rate_hz,
        threads=threads,
        progress=console,
    )
    console.say(
        f"{out}  {found.samples / found.sample_rate_hz:.2f} s, "
        f"{found.tokens_kept:.0%} of the recording's tokens were left as they are"
    )
    console.say(f"  tokens sha256  {found.tokens_sha256[:16]}")
    for role, name in found.models.items():
        console.say(f"  {role:<14} {name}")
    console.json(found.as_json())
