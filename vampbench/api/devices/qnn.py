"""What Qualcomm's NPU takes of a model, and which tokens it would choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from calibration.feeds.lengths import short_states
from calibration.feeds.model_feeds import evaluation_feeds_of
from profiles.host import describe_host
from profiles.targets.qnn import PACKAGE, SOCS, compile_variant, unavailable
from vampbench.api.bounds import MOST_STEPS, check_within, typed
from vampbench.api.data import AnyData, as_source
from vampbench.api.interface import check_same_interface
from vampbench.api.models import AnyModel, as_artifact
from vampbench.api.progress import Heard, Listener
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.records.evidence import Compiled, CompiledFile, NotRun

SOC_NAMES = dict(zip(("8-gen-3", "8-elite"), SOCS, strict=True))
"""The Snapdragons whose NPUs are compiled for."""

FEWEST_FRAMES = 8


@dataclass(frozen=True)
class OnQnn:
    """What the compiler made of a model's variants.

    Attributes:
        reference: the FP32 source.
        compiled: by path, what became of each variant.
        failed: by path, why one could not be compiled.
        warnings: what to beware of, a line each; none by default.
    """

    reference: Artifact
    compiled: Mapping[Path, Compiled]
    failed: Mapping[Path, str]
    warnings: tuple[str, ...] = ()

    @property
    def file(self) -> CompiledFile:
        """All of it as a record; the contents of qnn.json."""
        variants: dict[str, Compiled | NotRun] = {
            **{str(path): found for path, found in self.compiled.items()},
            **{str(path): NotRun(reason) for path, reason in self.failed.items()},
        }
        return CompiledFile(
            command="vampbench qnn",
            host=describe_host(),
            variants=variants,
            reference=str(self.reference.path),
            reference_sha256=self.reference.sha256,
            compiler=f"{PACKAGE} {version(PACKAGE)}",
        )


@typed
def qnn(
    reference: AnyModel,
    variants: Sequence[AnyModel] = (),
    data: AnyData = None,
    *,
    soc: str = "8-gen-3",
    frames: int = 24,
    states: int = 4,
    emulate: bool = True,
    progress: Listener = None,
) -> OnQnn:
    """Compile variants for Qualcomm's NPU, without a phone; `reference` is their FP32 source.

    The real compiler (extra `qnn`, Linux on x86-64) says which nodes the NPU refuses and why; with
    `emulate`, its emulator says which tokens the NPU chooses on `states` inputs of `frames` frames,
    made of `data` as `verify` takes it. It tells nothing about speed. Without variants the
    reference itself is compiled.

    What does not compile stands in `failed`. Raises InputError without the extra, for models that
    are no variants of one, and where nothing can be fed.
    """
    heard, source = Heard(progress), as_source(data)
    if soc not in SOC_NAMES:
        raise InputError(f"soc {soc!r}: unknown; choose from {', '.join(SOC_NAMES)}")
    check_within("frames", frames, FEWEST_FRAMES, whole=True)
    check_within("states", states, 1, MOST_STEPS, whole=True)
    original = as_artifact(reference, source.sample_rate_hz)
    artifacts = [as_artifact(each, source.sample_rate_hz) for each in variants] or [original]
    for artifact in artifacts:
        check_same_interface(original, artifact)
    missing = unavailable()
    if missing is not None:
        raise InputError(missing)
    found = evaluation_feeds_of(original, source, 0, heard)
    short = short_states(original, found.feeds, frames, states)
    compiled, failed = {}, {}
    for path in (artifact.path for artifact in artifacts):
        try:
            with heard.task(f"{path}: compiling{' and emulating' if emulate else ''}"):
                compiled[path] = compile_variant(
                    path, original.path, short, soc=SOC_NAMES[soc], emulate=emulate
                )
        except InputError as error:
            heard.error(str(error))
            failed[path] = str(error)
    return OnQnn(original, compiled, failed, tuple(heard.warnings))
