"""The folder that ships: models, a manifest of promises, golden answers, a check of itself."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from profiles.bundle.bundled import selfcheck
from profiles.bundle.library import write_libraries
from profiles.bundle.ort_format import CONFIG, Shipped, config_text
from profiles.count.music import audio_s
from profiles.count.packaging import store_fit, zipped_size
from profiles.targets.contract import Target
from vampnet_models.errors import InputError, PromiseMissed
from vampnet_models.onnxfile.artifact import (
    Artifact,
    check_output,
    sha256_of,
    staging_beside,
    written,
)
from vampnet_models.onnxfile.exact import is_exact
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import MANIFEST
from vampnet_models.records.manifest import (
    BundledFile,
    BundledModel,
    Manifest,
    PortableModel,
    PromisedOutput,
    TelemetrySwitch,
)
from vampnet_models.records.profiles import Delivered, Measurement
from vampnet_models.spec import Role

_Array = NDArray[Any]
NOTICE = "LICENSE-NOTE.txt"
TELEMETRY = "TELEMETRY-NOTE.txt"
_SCRIPTS = ("selfcheck.py", "open_models.py", "example.py")

_MARGIN_DB = 3.0
"""How far sound or numbers may fall below the dB measured here before the self-check fails."""

_EXACT_DB = 80.0
"""More than this no numbers are promised: another processor rounds otherwise."""

_PUBLISHED_NOTE = (
    "VampNet's published weights are licensed CC BY-NC-SA 4.0: models made from them may be "
    "shared for non-commercial use, with credit and under the same licence.\n"
)
_GENERIC_NOTE = "The licence of these models is that of the models that they were made from.\n"
_REFERENCE_NOTE = (
    "These models were made from the small reference weights of the VampNet workbench (MIT; the "
    "audio that they were trained on is credited in that project's NOTICE).\n" + _PUBLISHED_NOTE
)


@dataclass(frozen=True)
class Part:
    """One model of the bundle with what it must answer.

    `feeds` are its golden inputs, `references` and `variants` the outputs by name of the FP32
    source and of this model on them, `output` the first of these; `counted` (bool, broadcastable
    to it) marks where its tokens count. `accuracy` and `profile` are what the run measured; None
    where it did not. `shipped` says how it ships where ORT format was asked for; without `sounds`,
    the inputs are no sound or codes of one. `portable` is the part to open in place of one that
    needs the operator library.
    """

    name: str
    artifact: Artifact
    recipe: str
    source_sha256: str
    output: str
    feeds: Mapping[str, _Array]
    references: Mapping[str, _Array]
    variants: Mapping[str, _Array]
    counted: _Array
    accuracy: AccuracyReport | None
    profile: Measurement | None
    shipped: Shipped | None = None
    sounds: bool = True
    portable: Part | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What ships, the file to load first."""
        if self.shipped is not None and self.shipped.path is not None:
            return (self.shipped.path,)
        return self.artifact.files

    def measure(self, output: str) -> Literal["tokens", "audio", "sqnr"]:
        """`tokens` where the output is integer, else `audio`; `sqnr` where no sound is."""
        if self.references[output].dtype.kind in "iu":
            return "tokens"
        return "audio" if self.sounds else "sqnr"


def write_bundle(parts: Sequence[Part], out: Path, *, target: Target, weights: str) -> Manifest:
    """Write the bundle and return its manifest; the folder appears whole or not at all.

    Raises InputError when `out` is there already, or cannot be written; PromiseMissed where a
    model's answers hold nothing that could be promised.
    """
    check_free(out)
    with staging_beside(out) as staging, written(out):
        staging.chmod(0o755)
        manifest = _fill(parts, staging, target, weights)
        if out.exists():
            out.rmdir()
        staging.replace(out)
    return manifest


def check_free(out: Path) -> None:
    """Raise InputError where no bundle can be written: something is there, or it may not be."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there already; choose another output or remove it")
    check_output(out / selfcheck.MANIFEST)


def _fill(parts: Sequence[Part], folder: Path, target: Target, weights: str) -> Manifest:
    models = folder / "models"
    models.mkdir()
    both = [each for part in parts for each in (part, part.portable) if each is not None]
    for part in both:
        for file in part.files:
            shutil.copyfile(file, models / file.name)
    libraries = write_libraries(folder) if len(both) > len(parts) else ()
    golden: dict[str, _Array] = {}
    for part in parts:
        golden |= {f"{part.name}/in/{key}": values for key, values in part.feeds.items()}
        for output, reference in part.references.items():
            at = selfcheck.golden_key(part.name, output, is_first=output == part.output)
            golden[f"{at}/reference"] = reference
            golden[f"{at}/variant"] = part.variants[output]
            golden[f"{at}/counted"] = _counted(part, output)
            if part.portable is not None:
                golden[f"{at}/portable"] = part.portable.variants[output]
    np.savez_compressed(folder / selfcheck.GOLDEN, allow_pickle=False, **golden)
    for script in _SCRIPTS:
        text = files("profiles.bundle.bundled").joinpath(script).read_text(encoding="utf-8")
        (folder / script).write_text(text, encoding="utf-8")
    shipped = [part.shipped.operators for part in parts if part.shipped is not None]
    if shipped:
        (folder / CONFIG).write_text(config_text(shipped), encoding="utf-8")
    specs = [part.artifact.spec for part in parts if part.sounds]
    note = _REFERENCE_NOTE if weights == "trained" else _PUBLISHED_NOTE
    if not any(spec.lengths_of.n_coarse_codebooks for spec in specs):
        note = _GENERIC_NOTE
    (folder / NOTICE).write_text(note, encoding="utf-8")
    (folder / TELEMETRY).write_text(_telemetry_note(target.telemetry), encoding="utf-8")
    inside = sorted(p for p in folder.rglob("*") if p.is_file())
    manifest = Manifest(
        created=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        target=target.name,
        provider=target.checked_on,
        target_provider=target.provider,
        telemetry=target.telemetry,
        weights=weights,
        versions={
            name: importlib.metadata.version(name)
            for name in ("vampnet-workbench", "onnxruntime", "numpy")
        },
        models=tuple(_entry(part) for part in parts),
        packaging=_packaging_of([file for part in both for file in part.files], target),
        files=tuple(
            BundledFile(
                path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of((path,))
            )
            for path in inside
        ),
        family=next((spec.family for spec in specs if spec.family is not None), None),
        libraries=libraries,
    )
    write_record(manifest, MANIFEST, folder / selfcheck.MANIFEST)
    return manifest


def _telemetry_note(switch: TelemetrySwitch) -> str:
    """The text that ships beside the models."""
    paragraphs = (
        "ONNX Runtime's official packages report their use to Microsoft by default (Privacy.md in "
        "its repository says what).",
        f"To turn it off in an app: {switch.text}.",
        "OrtApi::DisableTelemetryEvents stops later events on every platform, not the one that is "
        "sent when the runtime starts. A runtime of your own that is built with --no_telemetry "
        "sends nothing.",
    )
    return "\n\n".join(textwrap.fill(each, 96) for each in paragraphs) + "\n"


def _entry(part: Part) -> BundledModel:
    first, *others = (_promised(part, output) for output in (part.output, *_others(part)))
    shipped = part.shipped
    as_onnx = shipped is None or shipped.path is None
    return BundledModel(
        name=part.name,
        role=part.artifact.role.value,
        file=f"models/{part.files[0].name}",
        bytes=sum(file.stat().st_size for file in part.files),
        recipe=part.recipe,
        source_sha256=part.source_sha256,
        output=first.output,
        measure=first.measure,
        promise=first.promise,
        audio_s=_audio_s(part),
        accuracy=part.accuracy,
        profile=part.profile,
        format="onnx" if as_onnx else "ort",
        ort_bytes=None if shipped is None else shipped.bytes,
        ort_reason=None if shipped is None else shipped.reason,
        others=tuple(others),
        exact_products=as_onnx and is_exact(part.artifact.path),
        portable=None if part.portable is None else _portable(part.portable),
    )


def _portable(part: Part) -> PortableModel:
    return PortableModel(
        file=f"models/{part.files[0].name}",
        bytes=sum(file.stat().st_size for file in part.files),
        recipe=part.recipe,
        outputs=tuple(_promised(part, output) for output in (part.output, *_others(part))),
        exact_products=is_exact(part.artifact.path),
    )


def _others(part: Part) -> list[str]:
    return [output for output in part.references if output != part.output]


def _promised(part: Part, output: str) -> PromisedOutput:
    promised = promise(part, output)
    if not math.isfinite(promised) or not np.isfinite(part.variants[output]).all():
        raise PromiseMissed(
            f"{part.name}: {part.recipe}: answers NaN or infinity in {output}; bundle another"
        )
    return PromisedOutput(output, part.measure(output), promised)


def _packaging_of(files: Sequence[Path], target: Target) -> Delivered:
    """The models' size as a store delivers it, and which of the target's limits hold it."""
    zipped = zipped_size(tuple(files))
    return Delivered(
        bytes=sum(file.stat().st_size for file in files),
        zipped_bytes=zipped.bytes,
        zipped_exact=zipped.exact,
        stores=store_fit(zipped.bytes, target.stores),
    )


def promise(part: Part, output: str) -> float:
    """What the self-check must reach on the golden inputs, from what this machine reached.

    Tokens: the share measured here less three standard errors of a share over as many
    positions, at least two in a hundred. Audio: the SI-SDR measured here, 80 dB at most, less
    3 dB; other numbers: the SQNR likewise.
    """
    measured, measure = reached(part, output), part.measure(output)
    if measure != "tokens":
        return min(measured, _EXACT_DB) - _MARGIN_DB
    positions = int(_counted(part, output).sum())
    error = math.sqrt(measured * (1 - measured) / positions)
    return max(0.0, measured - max(0.02, 3 * error))


def reached(part: Part, output: str) -> float:
    """What an answer here keeps of the reference: share of tokens, or SI-SDR or SQNR in dB."""
    reference, answer, measure = (
        part.references[output],
        part.variants[output],
        part.measure(output),
    )
    if measure != "tokens":
        return selfcheck.DECIBELS[measure](reference, answer)
    return float((reference == answer)[_counted(part, output)].mean())


def _counted(part: Part, output: str) -> _Array:
    counted = part.counted if output == part.output else np.ones((), bool)
    return np.broadcast_to(counted, part.references[output].shape).astype(bool)


def _audio_s(part: Part) -> float | None:
    """How much sound the golden inputs stand for; None where they stand for none."""
    if not part.sounds:
        return None
    shapes = {name: values.shape for name, values in part.feeds.items()}
    spec = part.artifact.spec
    # A piece of the split form counts frames, as a transformer does.
    role = Role.COARSE if spec.role is Role.GENERIC else spec.role
    return audio_s(role, shapes, spec.family)
