"""Music in, a variation of it out, through any mix of variants."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from calibration.audio.clips import Clip
from calibration.audio.load import read_audio
from vampbench.api.bounds import MOST_STEPS, check_threads, check_within, typed
from vampbench.api.listen.beats import check_tracker, codec_frames, track_beats
from vampbench.api.models import Models, each_of, paths_of, rate_of
from vampbench.api.progress import Heard, Listener
from vampbench.work.listening import write_wav
from vampnet_models.cache import Json
from vampnet_models.chain import pipeline
from vampnet_models.chain.builtin import builtin_models
from vampnet_models.chain.families import family_of_chain, in_family
from vampnet_models.chain.pipeline import Chain
from vampnet_models.chain.tokens import (
    C2F_SAMPLING,
    COARSE_SAMPLING,
    Codes,
    SamplingOptions,
    beat_mask,
    inpainting_mask,
    periodic_mask,
    with_upper_codebooks,
)
from vampnet_models.errors import InputError
from vampnet_models.family import Family
from vampnet_models.onnxfile.artifact import Artifact, check_output, open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.progress import Reporter
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import CHAIN_ROLES, Role

_BUILT_IN = "built-in"


@dataclass(frozen=True)
class Prompt:
    """What is kept of the input; what any of these keeps is kept.

    period: one frame in so many is kept; 7 by default, 0 keeps none.
    width: frames kept at each period; 1 by default.
    prefix_s, suffix_s: seconds kept at both ends; none by default.
    upper_codebook: every codebook from this one on is generated; 3 by default.
    seed: of the first kept frame's place; 0 by default.
    beats: frames of beats that are kept; none by default.
    beat_width: frames kept on either side of a beat; 1 by default.
    """

    period: int = 7
    width: int = 1
    prefix_s: float = 0.0
    suffix_s: float = 0.0
    upper_codebook: int = 3
    seed: int = 0
    beats: tuple[int, ...] = ()
    beat_width: int = 1

    def __post_init__(self) -> None:
        """Raise InputError for a number out of range."""
        check_within("width", self.width, 1, whole=True)
        for name in ("period", "prefix_s", "suffix_s", "upper_codebook", "seed", "beat_width"):
            check_within(name, getattr(self, name), 0)

    def mask(self, shape: tuple[int, ...], frame_s: float) -> Codes:
        """int64 `[1, codebooks, frames]`, 1 where music is generated; frames are of `frame_s`."""
        ends = inpainting_mask(
            shape, round(self.prefix_s / frame_s), round(self.suffix_s / frame_s)
        )
        roll = int(np.random.default_rng(self.seed).integers(0, max(self.period, 1)))
        kept = np.minimum(ends, periodic_mask(shape, self.period, self.width, roll))
        kept = np.minimum(kept, beat_mask(shape, self.beats, self.beat_width))
        return with_upper_codebooks(kept, self.upper_codebook)


@dataclass(frozen=True)
class Vamped:
    """A variation that was written.

    output: the WAV file.
    samples: its length, that of the recording at the codec's rate.
    sample_rate_hz: the codec's.
    seed: of the sampling.
    tokens_kept: share of the recording's tokens that were left as they are, 0 to 1.
    tokens_sha256: of all its tokens; same seed, same song.
    beats: how many frames of beats were kept; None without a tracker.
    models: by role, the path of the model, or `built-in`.
    warnings: what to beware of; none by default.
    """

    output: Path
    samples: int
    sample_rate_hz: int
    seed: int
    tokens_kept: float
    tokens_sha256: str
    beats: int | None
    models: dict[str, str]
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def as_json(self) -> Json:
        """As JSON values."""
        kept = {k: v for k, v in vars(self).items() if k != "warnings"}
        return kept | {"output": str(self.output)}


@typed
def vamp(
    recording: str | Path,
    output: str | Path,
    *,
    models: Models | None = None,
    stages: Mapping[Role, str | Path] | None = None,
    prompt: Prompt = Prompt(),
    sampling: SamplingOptions = COARSE_SAMPLING,
    tracker: str | Path | None = None,
    duration_s: float | None = None,
    sample_rate_hz: int | None = None,
    threads: int = 0,
    progress: Listener = None,
) -> Vamped:
    """Generate a variation of a recording, of the same length, and write it as WAV.

    `models` are the four stages, the built-in ones by default; `stages` names some of them one by
    one. With a beat `tracker` (.onnx), the frames around each beat that it hears are kept, too.
    `sample_rate_hz` is that of a codec of which its file does not tell it.
    Raises InputError for a recording, a model or an output that cannot be used.
    """
    heard, source, target = Heard(progress), Path(recording), Path(output)
    check_within("steps", sampling.steps, 1, MOST_STEPS, whole=True)
    check_within("temperature", sampling.temperature, 0)
    check_within("typical_mass", sampling.typical_mass, 0, 1)
    check_within("duration_s", duration_s, 0, above=True)
    check_threads(threads)
    if target.suffix.lower() != ".wav":
        raise InputError(f"{target}: the output is a WAV file; give a name that ends in .wav")
    check_output(target, source)
    if tracker is not None:
        check_tracker(Path(tracker))
    with scratch_folder() as scratch:
        found = find_stages(models, stages or {}, scratch, sample_rate_hz)
        # Before the sessions are opened, which takes seconds.
        family = family_of_chain(found.values())
        recorded = read_audio(source)
        chain = open_chain(found, threads)
        names = {
            role.value: _BUILT_IN if a.path.is_relative_to(scratch) else str(a.path)
            for role, a in found.items()
        }
    if duration_s is not None:
        recorded = recorded.start(duration_s)
    if tracker is not None:
        prompt = replace(prompt, beats=_beats(Path(tracker), recorded, family, threads, heard))
    samples = recorded.at_rate(family.sample_rate_hz).samples

    def mask(shape: tuple[int, ...]) -> Codes:
        return prompt.mask(shape, family.frame_s)

    with heard.task("vamping") as update:
        update(0, 1)
        fine = replace(C2F_SAMPLING, seed=sampling.seed)
        audio, codes = pipeline.vamp(chain, samples, mask, sampling, fine, update)
    write_wav(target, audio, family.sample_rate_hz)
    return Vamped(
        output=target,
        samples=len(audio),
        sample_rate_hz=family.sample_rate_hz,
        seed=sampling.seed,
        tokens_kept=float(1 - mask(codes.shape).mean()),
        tokens_sha256=hashlib.sha256(codes.astype("<i8").tobytes()).hexdigest(),
        beats=None if tracker is None else len(prompt.beats),
        models=names,
        warnings=tuple(heard.warnings),
    )


def _beats(
    tracker: Path, clip: Clip, family: Family, threads: int, reporter: Reporter
) -> tuple[int, ...]:
    """The frames of the beats; a recording in which none is heard is worth a word."""
    with reporter.task("tracking beats") as update:
        update(0, 1)
        frames = codec_frames(track_beats(tracker, clip, threads), family)
        update(1, 1)
    if frames:
        reporter.note(f"{tracker.name}: {len(frames)} beats")
    else:
        reporter.warn(f"{tracker.name}: hears no beat: none is kept")
    return frames


def find_stages(
    models: Models | None,
    given: Mapping[Role, str | Path],
    scratch: Path,
    sample_rate_hz: int | None = None,
) -> dict[Role, Artifact]:
    """The model of each stage: the one that was named, else that of `models` by its role.

    Without `models`, the built-in ones, which are written to `scratch`. The rate is as for
    `open_models`. Raises InputError when a stage has none, or a named model has another role.
    """
    if models is not None and not isinstance(models, str | Path):
        models = each_of(models)
        sample_rate_hz = sample_rate_hz or rate_of(models)
    if models is None and not given.keys() >= set(CHAIN_ROLES):
        models = builtin_models(scratch)
    found: dict[Role, Artifact] = {}
    for path in paths_of(models) if models is not None else ():
        artifact = open_artifact(path)
        found.setdefault(artifact.role, artifact)
    stages = {}
    for role in CHAIN_ROLES:
        named = given.get(role)
        if named is not None:
            artifact = open_artifact(Path(named))
            if artifact.role is not role:
                raise InputError(f"{named}: is a {artifact.role.value} model, not a {role.value}")
            stages[role] = artifact
        elif role in found:
            stages[role] = found[role]
        else:
            where = models if isinstance(models, str | Path) else "the models"
            raise InputError(f"{where}: no {role.value} model is there; name one for this stage")
    rated = in_family(list(stages.values()), sample_rate_hz)
    return dict(zip(stages, rated, strict=True))


def open_chain(stages: Mapping[Role, Artifact], threads: int) -> Chain:
    """Open sessions of the four stages."""
    encoder, coarse, c2f, decoder = (
        open_session(stages[role].path, threads=threads) for role in CHAIN_ROLES
    )
    return Chain(encoder=encoder, coarse=coarse, c2f=c2f, decoder=decoder)
