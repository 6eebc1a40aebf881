"""The contents of a bundle's manifest.json; paths are relative to its folder.

The bundle's own self-check reads a part of it, without this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vampnet_models.family import Family
from vampnet_models.records.accuracy import AccuracyReport
from vampnet_models.records.profiles import Delivered, Profile
from vampnet_models.telemetry import VARIABLE


@dataclass(frozen=True)
class TelemetrySwitch:
    """How an app turns ONNX Runtime's telemetry off, by Privacy.md of ONNX Runtime 1.29 and later.

    The official packages for Linux, macOS, Android and iOS send events over HTTPS by default,
    those for Windows hand them to the system (ETW).

    set_with: what sets the environment variable.
    before: ahead of what.
    text: that in a sentence.
    variable, value: the environment variable, and what turns it off.
    on_by_default: the official packages report unless it is set so.
    """

    set_with: str
    before: str
    text: str
    variable: str = VARIABLE
    value: str = "1"
    on_by_default: bool = True


@dataclass(frozen=True)
class PromisedOutput:
    """An output, and what the self-check must reach in it.

    measure: the share of equal tokens, SI-SDR, or the signal to quantization noise ratio (SQNR).
    promise: a share (0 to 1) or dB.
    """

    output: str
    measure: Literal["tokens", "audio", "sqnr"]
    promise: float


@dataclass(frozen=True)
class PortableModel:
    """The model to open in place of a native one, where the operator library does not load.

    file, bytes: what is loaded first; the size of all its files.
    outputs: what it must answer, the first one's first.
    exact_products: as a `BundledModel`'s.
    """

    file: str
    bytes: int
    recipe: str
    outputs: tuple[PromisedOutput, ...]
    exact_products: bool = False


@dataclass(frozen=True)
class OperatorLibrary:
    """The operator library for one kind of machine, built from the sources beside it.

    platform: system and processor, as `linux-x86_64`.
    file: the library.
    build: the command that made it, run in the folder of the sources.
    compiler: its own words for its version.
    sources: the files that it was made of.
    """

    platform: str
    file: str
    build: str
    compiler: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class BundledModel:
    """A model of the bundle, and what it must answer to its golden inputs.

    file, bytes: what is loaded first; the size of all its files.
    source_sha256: of the FP32 source.
    output: the output that is judged, as `measure` says: the share of equal tokens, SI-SDR or SQNR.
    promise: what the self-check must reach, a share (0 to 1) or dB.
    audio_s: how much sound the golden inputs stand for; None where they stand for none.
    accuracy, profile: what the run measured; None where it did not.
    format: how it ships, by default as .onnx.
    ort_bytes: of its ORT-format file; None where none was made.
    ort_reason: why the .onnx file ships where ORT format was asked for.
    others: the other outputs that are judged, of a model that is no VampNet's; else none.
    exact_products: open it with the session configuration entry `session.x64quantprecision` = 1:
        on x86 without VNNI: sums of 8-bit products are cut there otherwise.
    portable: of a model that needs the operator library; None of any other.
    """

    name: str
    role: str
    file: str
    bytes: int
    recipe: str
    source_sha256: str
    output: str
    measure: Literal["tokens", "audio", "sqnr"]
    promise: float
    audio_s: float | None
    accuracy: AccuracyReport | None
    profile: Profile | None
    format: Literal["onnx", "ort"] = "onnx"
    ort_bytes: int | None = None
    ort_reason: str | None = None
    others: tuple[PromisedOutput, ...] = ()
    exact_products: bool = False
    portable: PortableModel | None = None


@dataclass(frozen=True)
class BundledFile:
    """A file of the bundle, by its path in it with `/`; the manifest itself is none of them."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The contents of manifest.json.

    created: the day and minute, UTC.
    target: what the bundle is for.
    provider: of the golden answers, on the machine that made it; `target_provider` is the target's.
    weights: of the models' sources: trained, seeded, unknown or mixed.
    versions: of the packages that made it, by name.
    family: of the chain's models; None where it is unknown, or they stand in none.
    libraries: the operator library, for each kind of machine that it was built for.
    """

    created: str
    target: str
    provider: str
    target_provider: str
    telemetry: TelemetrySwitch
    weights: str
    versions: dict[str, str]
    models: tuple[BundledModel, ...]
    packaging: Delivered
    files: tuple[BundledFile, ...]
    family: Family | None = None
    libraries: tuple[OperatorLibrary, ...] = ()
