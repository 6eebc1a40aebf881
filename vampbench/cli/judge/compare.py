"""`vampbench compare`: original, reference and variants of one recording, side by side."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.audio.load import read_audio
from optimize.truth.audio_metrics import log_mel_db, si_sdr_db
from vampbench.cli import options
from vampbench.cli.console import Console
from vampbench.cli.ship.overview import read_results
from vampbench.work.listening import write_wav
from vampnet_models.cache import Json
from vampnet_models.chain.pipeline import decode, encode
from vampnet_models.errors import InputError
from vampnet_models.family import VAMPNET
from vampnet_models.onnxfile.artifact import check_output, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.results import Results
from vampnet_models.spec import Role
from vampnet_models.text import percent


@click.command()
@click.argument("recording", type=options.PATH)
@click.option(
    "--run",
    "run_dir",
    type=options.PATH,
    required=True,
    help="Folder that `vampbench run` or `demo` wrote.",
)
@click.option(
    "--duration",
    "duration_s",
    type=options.Finite(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds of the recording to take.",
)
@options.output
@options.as_json
def compare(recording: Path, run_dir: Path, duration_s: float, out: Path, as_json: bool) -> None:
    """Send RECORDING through the codec of every recipe and write each as WAV.

    OUT receives 0-original.wav, 1-reference.wav and one file per recipe whose encoder and
    decoder were both made: RECORDING encoded and decoded by that recipe's own pair.

    \b
    Example:
      vampbench compare song.wav --run out/demo -o listen
    """
    console = Console(as_json=as_json)
    results = read_results(run_dir)
    pairs = _codec_pairs(results, run_dir)
    names = ["original", *(name for name, _, _ in pairs)]
    files = [out / f"{number}-{name}.wav" for number, name in enumerate(names)]
    for file in files:
        check_output(file, recording)
    samples = read_audio(recording).samples[
        : max(VAMPNET.hop_samples, int(duration_s * VAMPNET.sample_rate_hz))
    ]
    write_wav(files[0], samples)
    rows: list[Json] = []
    reference = reference_codes = None
    with console.task("coding") as update:
        for done, (_, encoder, decoder) in enumerate(pairs):
            update(done, len(pairs))
            codes = encode(open_session(encoder), samples)
            audio = decode(open_session(decoder), codes)[: len(samples)]
            if reference is None or reference_codes is None:
                reference, reference_codes = audio, codes
            path = files[done + 1]
            write_wav(path, audio)
            rows.append(
                {
                    "file": path.name,
                    "codes_equal": float((codes == reference_codes).mean()),
                    "si_sdr_to_reference_db": si_sdr_db(reference, audio),
                    "si_sdr_to_original_db": si_sdr_db(samples, audio),
                    "log_mel_to_original_db": log_mel_db(samples, audio),
                }
            )
        update(len(pairs), len(pairs))
    columns = (
        "file",
        "agreement",
        "SI-SDR to reference",
        "SI-SDR to original",
        "log-mel to original",
    )
    console.table(
        f"{recording.name}, {len(samples) / VAMPNET.sample_rate_hz:.1f} s",
        columns,
        [
            (
                r["file"],
                percent(r["codes_equal"]),
                f"{r['si_sdr_to_reference_db']:.1f} dB",
                f"{r['si_sdr_to_original_db']:.1f} dB",
                f"{r['log_mel_to_original_db']:.2f} dB",
            )
            for r in rows
        ],
    )
    console.say(f"{out}")
    console.json({"output": str(out), "files": rows})


def _codec_pairs(results: Results, run_dir: Path) -> list[tuple[str, Path, Path]]:
    """(name, encoder, decoder): the source first, then each recipe that made both.

    Raises InputError when the run holds no codec.
    """
    models = {m.role: m for m in results.models}
    try:
        encoder, decoder = models[Role.CODEC_ENCODER.value], models[Role.CODEC_DECODER.value]
    except KeyError as error:
        raise InputError(
            f"{run_dir}: the run holds no {error.args[0]} to listen through"
        ) from error
    root = run_dir if run_dir.is_dir() else run_dir.parent
    pairs = [("reference", root / (encoder.path or ""), root / (decoder.path or ""))]
    for one in encoder.variants:
        for two in decoder.variants:
            if one.recipe == two.recipe and one.path and two.path:
                pairs.append((one.recipe, root / one.path, root / two.path))
    for _, *paths in pairs:
        for path in paths:
            open_artifact(path)
    return pairs
