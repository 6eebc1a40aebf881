"""Original, reference and variants of one recording, side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from calibration.audio.load import read_audio
from optimize.truth.audio_metrics import log_mel_db, si_sdr_db
from profiles.report.views.read import read_results
from vampbench.api.bounds import check_within, typed
from vampbench.api.progress import Heard, Listener
from vampbench.work.listening import write_wav
from vampnet_models.cache import Json
from vampnet_models.chain.families import family_of_chain, of_family
from vampnet_models.chain.pipeline import decode, encode
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import check_output, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.records.results import Results
from vampnet_models.spec import Role


@dataclass(frozen=True)
class Coded:
    """A recording as a codec gives it back.

    file: the name of the WAV file.
    codes_equal: share of codes as the reference's, 0 to 1.
    si_sdr_to_reference_db, si_sdr_to_original_db: SI-SDR of the sound.
    log_mel_to_original_db: mean distance of log-mel spectra.
    """

    file: str
    codes_equal: float
    si_sdr_to_reference_db: float
    si_sdr_to_original_db: float
    log_mel_to_original_db: float


@dataclass(frozen=True)
class Compared:
    """What was written side by side.

    output: the folder; besides `files` it holds the original.
    files: the reference, then a file per recipe.
    duration_s: of the recording's part that was taken.
    """

    output: Path
    files: tuple[Coded, ...]
    duration_s: float

    def as_json(self) -> Json:
        """As JSON values."""
        return {"output": str(self.output), "files": [asdict(each) for each in self.files]}


@typed
def compare(
    recording: str | Path,
    run: str | Path,
    output: str | Path,
    *,
    duration_s: float = 10.0,
    progress: Listener = None,
) -> Compared:
    """Send a recording through the codec of every recipe of a run and write each as WAV.

    `output` receives 0-original.wav, 1-reference.wav and a file per recipe whose encoder and
    decoder were both made. Raises InputError when the run holds no codec, or the recording cannot
    be read.
    """
    heard, source, run_dir, out = Heard(progress), Path(recording), Path(run), Path(output)
    check_within("duration_s", duration_s, 0, above=True)
    results = read_results(run_dir)
    pairs = _codec_pairs(results, run_dir)
    names = ["original", *(name for name, _, _ in pairs)]
    files = [out / f"{number}-{name}.wav" for number, name in enumerate(names)]
    for file in files:
        check_output(file, source)
    recorded = {m.role: m.family for m in results.models}
    codec = (open_artifact(path) for path in pairs[0][1:])
    rate_hz = family_of_chain(of_family(a, recorded[a.role]) for a in codec).sample_rate_hz
    clip = read_audio(source).start(duration_s).at_rate(rate_hz)
    samples = clip.samples
    write_wav(files[0], samples, rate_hz)
    found: list[Coded] = []
    reference = reference_codes = None
    with heard.task("coding") as update:
        for done, (_, encoder, decoder) in enumerate(pairs):
            update(done, len(pairs))
            codes = encode(open_session(encoder), samples)
            audio = decode(open_session(decoder), codes)[: len(samples)]
            original = samples[: len(audio)]
            if reference is None or reference_codes is None:
                reference, reference_codes = audio, codes
            path = files[done + 1]
            write_wav(path, audio, rate_hz)
            found.append(
                Coded(
                    file=path.name,
                    codes_equal=float((codes == reference_codes).mean()),
                    si_sdr_to_reference_db=si_sdr_db(reference, audio),
                    si_sdr_to_original_db=si_sdr_db(original, audio),
                    log_mel_to_original_db=log_mel_db(original, audio, rate_hz),
                )
            )
        update(len(pairs), len(pairs))
    return Compared(out, tuple(found), clip.duration_s)


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
