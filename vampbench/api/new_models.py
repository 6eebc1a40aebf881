"""Models that are written here: of checkpoints, or with seeded weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from calibration.audio.samples import builtin_audio_set
from vampbench.api.bounds import check_within, typed
from vampbench.api.progress import Heard, Listener
from vampnet_models.architectures import synth as seeded
from vampnet_models.importing.importer import ImportResult, import_models
from vampnet_models.onnxfile.artifact import Artifact, check_folder, open_artifact
from vampnet_models.onnxfile.outputs import check_apart


@typed
def import_checkpoints(
    checkpoints: Iterable[str | Path],
    output: str | Path,
    *,
    bases: Iterable[str | Path] = (),
    golden: str | Path | None = None,
    self_check: bool = True,
    sample_rate_hz: int | None = None,
    progress: Listener = None,
) -> ImportResult:
    """Turn .pth checkpoints, or folders of them, into ONNX models and import.json in `output`.

    `bases` are transformers that LoRA files among the checkpoints change; `golden` is an .npz with
    the original's answers; `sample_rate_hz` is for a codec whose file does not tell it. The
    result's `golden` and `eager` say whether the models answer as the original; their `require()`
    raises PromiseMissed where not. Raises InputError for checkpoints that cannot be used; nothing
    is written then.
    """
    given, out = [Path(each) for each in checkpoints], Path(output)
    check_apart(out, *given)
    check_folder(out)
    with Heard(progress).task("importing") as update:
        return import_models(
            given,
            out,
            bases=[Path(each) for each in bases],
            golden=None if golden is None else Path(golden),
            self_check=self_check,
            sample_rate_hz=sample_rate_hz,
            progress=lambda done, total, _what: update(done, total),
        )


@typed
def synth(
    output: str | Path, *, preset: str = "small", seed: int = 0, progress: Listener = None
) -> dict[str, Artifact]:
    """Write the four models with seeded random weights of realistic statistics, by name.

    For trying every step at any size: agreement on seeded weights is not an accuracy claim. Raises
    InputError for an unknown preset, and where `output` cannot be written.
    """
    out = Path(output)
    seeded.find_preset(preset)
    check_within("seed", seed, 0, 2**63 - 1, whole=True)
    check_folder(out)
    audio = builtin_audio_set().calibration[0].samples
    names: list[str] = []
    with Heard(progress).task(f"writing {preset}") as update:

        def report(name: str) -> None:
            update(len(names), 4)
            names.append(name)

        paths = seeded.synth(preset, out, seed=seed, audio=audio, report=report)
        update(4, 4)
    return {artifact.name: artifact for artifact in map(open_artifact, paths)}
