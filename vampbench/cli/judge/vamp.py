"""`vampbench vamp`: music in, a variation of it out, through any mix of variants."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from calibration.audio.load import read_audio
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.judge.beats import check_tracker, codec_frames, track_beats
from vampbench.work.listening import write_wav
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.chain.pipeline import Audio, Chain, vamp
from vampnet_models.chain.tokens import (
    Codes,
    SamplingOptions,
    beat_mask,
    inpainting_mask,
    periodic_mask,
    with_upper_codebooks,
)
from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import Artifact, check_output, find_models, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import CHAIN_ROLES, Role


@dataclass(frozen=True)
class Prompt:
    """What is kept of the input.

    Seconds at both ends; every `period`-th frame, where 0 keeps none; the frames of `beats` with
    `beat_width` frames on either side. What any of these keeps is kept.
    """

    period: int = 7
    width: int = 1
    prefix_s: float = 0.0
    suffix_s: float = 0.0
    upper_codebook: int = 3
    seed: int = 0
    beats: tuple[int, ...] = ()
    beat_width: int = 1

    def mask(self, shape: tuple[int, ...]) -> Codes:
        """int64 `[1, codebooks, frames]`, 1 where music is generated."""
        frame_s = VAMPNET.hop_samples / VAMPNET.sample_rate_hz
        ends = inpainting_mask(
            shape, round(self.prefix_s / frame_s), round(self.suffix_s / frame_s)
        )
        roll = int(np.random.default_rng(self.seed).integers(0, max(self.period, 1)))
        kept = np.minimum(ends, periodic_mask(shape, self.period, self.width, roll))
        kept = np.minimum(kept, beat_mask(shape, self.beats, self.beat_width))
        return with_upper_codebooks(kept, self.upper_codebook)


def _role_option(name: str, role: Role) -> Callable[..., Callable[..., object]]:
    return click.option(
        f"--{name}", type=options.PATH, help=f"Use this {role.value} instead of the folder's."
    )


@click.command("vamp")
@click.argument("recording", type=options.PATH)
@click.option("--models", "models_dir", type=options.PATH, help="Default: the built-in models.")
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
@click.option("--beats", type=options.PATH, help="A beat tracker (.onnx): keep its beats, too.")
@click.option(
    "--beat-width",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Frames (17 ms) kept on either side of a beat.",
)
@click.option("--prefix", "prefix_s", type=options.Finite(0), default=0.0, help="Seconds kept.")
@click.option("--suffix", "suffix_s", type=options.Finite(0), default=0.0, help="Seconds kept.")
@click.option(
    "--upper-codebook",
    type=click.IntRange(0, 14),
    default=3,
    show_default=True,
    help="Generate every codebook from this one on.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, options.MOST_STEPS),
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
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="One seed, the same tokens.",
)
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
    threads: int,
    out: Path,
    as_json: bool,
) -> None:
    """Generate a variation of RECORDING, of the same length.

    Every PERIOD-th frame of the lower codebooks is kept as the prompt; --prefix and --suffix
    keep whole seconds. With --beats, the frames around each beat and downbeat that the tracker
    hears are kept as well; with --period 0 they alone. One seed gives the same tokens every time.

    \b
    Examples:
      vampbench vamp song.wav -o vamped.wav --models models --coarse coarse.int8.onnx
      vampbench vamp song.wav -o vamped.wav --beats models/wavebeat.onnx --period 0
    """
    console = Console(as_json=as_json)
    if out.suffix.lower() != ".wav":
        raise InputError(f"{out}: the output is a WAV file; give a name that ends in .wav")
    check_output(out, recording)
    if beats is not None:
        check_tracker(beats)
    given = {
        Role.CODEC_ENCODER: encoder,
        Role.COARSE: coarse,
        Role.C2F: c2f,
        Role.CODEC_DECODER: decoder,
    }
    with scratch_folder() as scratch:
        stages = find_stages(models_dir, given, scratch)
        # Before the sessions are opened, which takes seconds.
        samples = read_audio(recording).samples
        chain = open_chain(stages, threads)
        names = {
            role: "built-in" if a.path.is_relative_to(scratch) else str(a.path)
            for role, a in stages.items()
        }
    if duration_s is not None:
        samples = samples[: max(VAMPNET.hop_samples, round(duration_s * VAMPNET.sample_rate_hz))]
    heard = () if beats is None else _heard(beats, samples, threads, console)
    prompt = Prompt(
        period, width, prefix_s, suffix_s, upper_codebook, seed, beats=heard, beat_width=beat_width
    )
    sampling = SamplingOptions(
        steps=steps, temperature=temperature, typical_mass=typical_mass, seed=seed
    )
    with console.task("vamping") as update:
        update(0, 1)
        audio, codes = vamp(chain, samples, prompt.mask, sampling, progress=update)
    write_wav(out, audio)
    tokens_sha256 = hashlib.sha256(codes.astype("<i8").tobytes()).hexdigest()
    kept = float(1 - prompt.mask(codes.shape).mean())
    console.say(
        f"{out}  {len(audio) / VAMPNET.sample_rate_hz:.2f} s, "
        f"{kept:.0%} of the recording's tokens were left as they are"
    )
    console.say(f"  tokens sha256  {tokens_sha256[:16]}")
    for role, name in names.items():
        console.say(f"  {role.value:<14} {name}")
    result = {
        "output": str(out),
        "samples": len(audio),
        "seed": seed,
        "tokens_kept": kept,
        "tokens_sha256": tokens_sha256,
        "beats": None if beats is None else len(heard),
        "models": {role.value: name for role, name in names.items()},
    }
    console.json(result)


def _heard(tracker: Path, samples: Audio, threads: int, console: Console) -> tuple[int, ...]:
    """The frames of the beats; a recording in which none is heard is worth a word."""
    with console.task("tracking beats") as update:
        update(0, 1)
        frames = codec_frames(track_beats(tracker, samples, threads))
        update(1, 1)
    if frames:
        console.note(f"{tracker.name}: {len(frames)} beats")
    else:
        console.warn(f"{tracker.name}: hears no beat: none is kept")
    return frames


def find_stages(
    folder: Path | None, given: dict[Role, Path | None], scratch: Path
) -> dict[Role, Artifact]:
    """The model of each stage: the one that was named, else the folder's by role.

    Raises InputError when a stage has none, or a named model has another role.
    """
    if folder is None and not all(given.values()):
        folder = builtin_models(scratch)
    found: dict[Role, Artifact] = {}
    for path in find_models(folder) if folder is not None else []:
        artifact = open_artifact(path)
        found.setdefault(artifact.role, artifact)
    stages = {}
    for role in CHAIN_ROLES:
        named = given.get(role)
        if named is not None:
            artifact = open_artifact(named)
            if artifact.role is not role:
                raise InputError(f"{named}: is a {artifact.role.value} model, not a {role.value}")
            stages[role] = artifact
        elif role in found:
            stages[role] = found[role]
        else:
            raise InputError(f"{folder}: holds no {role.value} model; name one by its option")
    return stages


def open_chain(stages: dict[Role, Artifact], threads: int) -> Chain:
    """Open sessions of the four stages."""
    encoder, coarse, c2f, decoder = (
        open_session(stages[role].path, threads=threads) for role in CHAIN_ROLES
    )
    return Chain(encoder=encoder, coarse=coarse, c2f=c2f, decoder=decoder)
