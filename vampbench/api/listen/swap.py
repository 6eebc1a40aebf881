"""Which stage of a chain is to blame, end to end and free-running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from calibration.audio.clips import AudioSet
from optimize.truth.free_running import floor_session, free_runs
from optimize.truth.swap import SwapRow, swap_table
from vampbench.api.bounds import MOST_STEPS, check_threads, check_within, typed
from vampbench.api.data import as_source
from vampbench.api.listen.vamp import find_stages, open_chain
from vampbench.api.models import Models
from vampbench.api.progress import Heard, Listener
from vampnet_models.cache import Json
from vampnet_models.chain.families import family_of_chain
from vampnet_models.chain.pipeline import Chain, encode
from vampnet_models.chain.tokens import Codes, SamplingOptions
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import Session
from vampnet_models.progress import Reporter
from vampnet_models.records.accuracy import FreeRun
from vampnet_models.scratch import scratch_folder
from vampnet_models.spec import CHAIN_ROLES, Role

CLIPS = 4
"""Clips that go through the chain, unless asked for more."""

_CLIP_S = 3


@dataclass(frozen=True)
class Swapped:
    """What each stage of a variant costs.

    clips: names of what was heard.
    steps: sampling steps of the coarse model.
    swap: a row per exchange of stages, the floor last.
    free_running: by transformer, the variant's own trajectories and the floor's.
    warnings: what to beware of; none by default.
    """

    clips: tuple[str, ...]
    steps: int
    swap: tuple[SwapRow, ...]
    free_running: dict[str, dict[str, FreeRun]]
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def as_json(self) -> Json:
        """As JSON values."""
        return {
            "clips": list(self.clips),
            "steps": self.steps,
            "swap": [asdict(row) for row in self.swap],
            "free_running": {
                model: {name: asdict(run) for name, run in found.items()}
                for model, found in self.free_running.items()
            },
        }


@typed
def swap(
    models: Models,
    variants: Models,
    audio: AudioSet | str | Path | None = None,
    *,
    clips: int = CLIPS,
    steps: int = 12,
    sample_rate_hz: int | None = None,
    threads: int = 0,
    progress: Listener = None,
) -> Swapped:
    """Exchange each stage of a chain by its variant: alone, all but it, and all of them.

    Each against FP32, with the FP32 floor; then both transformers sample freely from the same
    prompts and seeds. `audio` judges: a folder, or what `split_audio` gave; the built-in pack by
    default. `sample_rate_hz` is that of a codec of which its file does not tell it. Raises
    InputError when a stage has no model, or there is no usable audio.
    """
    heard, source = Heard(progress), as_source(audio)
    if source.feeds is not None:
        raise InputError(f"{audio}: holds feeds, which no chain hears; give recordings")
    check_within("clips", clips, 1, MOST_STEPS, whole=True)
    check_within("steps", steps, 1, MOST_STEPS, whole=True)
    check_threads(threads)
    with scratch_folder() as folder:
        references = find_stages(models, {}, folder, sample_rate_hz)
        others = find_stages(variants, {}, folder, sample_rate_hz)
        judging = source.load_audio(heard).evaluation[:clips]
        reference, variant = open_chain(references, threads), open_chain(others, threads)
        floor = _floor(references)
        rate_hz = family_of_chain([*references.values(), *others.values()]).sample_rate_hz
        samples = [clip.at_rate(rate_hz).samples[: _CLIP_S * rate_hz] for clip in judging]
        with heard.task("exchanging stages") as update:
            sampling = SamplingOptions(steps=steps)
            sources = [(clip.recording, clip.name) for clip in judging]
            rows = swap_table(
                reference, variant, floor, samples, sources, rate_hz, sampling, update
            )
        codes = [encode(reference.encoder, clip) for clip in samples]
        runs = {
            role.value: _free(role, sessions, codes, steps, heard)
            for role, sessions in (
                (Role.COARSE, (reference.coarse, variant.coarse, floor.coarse)),
                (Role.C2F, (reference.c2f, variant.c2f, floor.c2f)),
            )
        }
    return Swapped(tuple(clip.name for clip in judging), steps, rows, runs, tuple(heard.warnings))


def _floor(references: Mapping[Role, Artifact]) -> Chain:
    encoder, coarse, c2f, decoder = (floor_session(references[role]) for role in CHAIN_ROLES)
    return Chain(encoder=encoder, coarse=coarse, c2f=c2f, decoder=decoder)


def _free(
    role: Role,
    sessions: tuple[Session, Session, Session],
    codes: list[Codes],
    steps: int,
    reporter: Reporter,
) -> dict[str, FreeRun]:
    reference, variant, floor = sessions
    with reporter.task(f"{role.value}: free-running") as update:
        others = {"variant": variant, "floor": floor}
        return free_runs(role, reference, others, codes, steps, update)
