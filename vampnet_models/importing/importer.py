"""Checkpoints -> complete ONNX models, every parameter accounted for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from vampnet_models.architectures.codec import CodecConfig, build_decoder, build_encoder
from vampnet_models.architectures.families import family_of, name_family
from vampnet_models.architectures.transformer import TransformerConfig, build_transformer
from vampnet_models.architectures.wavebeat import WavebeatConfig, build_wavebeat
from vampnet_models.checkpoints.checkpoint import Checkpoint
from vampnet_models.errors import InputError
from vampnet_models.importing.accounting import Account, account_record, open_account, require_read
from vampnet_models.importing.golden import verify_golden
from vampnet_models.importing.selfcheck import check_with_torch, has_torch
from vampnet_models.importing.sources import Source, find_sources, require_fit
from vampnet_models.importing.verification import Verification
from vampnet_models.onnxfile.artifact import (
    owned_data,
    save_model,
    sha256_of,
    staging_beside,
    written,
)
from vampnet_models.progress import StepProgress
from vampnet_models.records.files import write_record
from vampnet_models.records.generic import IMPORT
from vampnet_models.records.import_record import (
    FigureRecord,
    Ignored,
    ImportRecord,
    SourceFile,
    SourceRecord,
    VerificationRecord,
    WrittenModel,
)
from vampnet_models.spec import FILE_STEMS, Role, spec_of

RECORD_NAME = "import.json"


@dataclass(frozen=True)
class ImportedModel:
    """One model that was written."""

    path: Path
    role: Role
    sources: tuple[str, ...]
    n_parameters: int
    bytes: int


@dataclass(frozen=True)
class ImportResult:
    """What an import wrote and how it accounts for what it read."""

    models: tuple[ImportedModel, ...]
    accounts: tuple[Account, ...]
    ignored: tuple[Ignored, ...]
    warnings: tuple[str, ...]
    golden: Verification | None
    """The comparison with golden answers, when asked for; `golden.require()` judges it."""
    eager: Verification | None
    """The comparison with eager PyTorch, where torch is installed."""
    record: Path


def import_models(
    inputs: Sequence[Path],
    out: Path,
    *,
    bases: Sequence[Path] = (),
    golden: Path | None = None,
    self_check: bool = True,
    weights: str = "imported",
    sample_rate_hz: int | None = None,
    progress: StepProgress | None = None,
) -> ImportResult:
    """Write the models of these checkpoints (files, or folders of them) and import.json to `out`.

    A codec becomes codec_encoder.onnx and codec_decoder.onnx; with it, transformers become
    coarse.onnx and c2f.onnx; a beat tracker becomes wavebeat.onnx. What a file is, its content
    says, not its name. Weights are streamed; all models appear together, or none.
    `bases` are transformers that LoRA files among the inputs change.
    `self_check` compares the models with eager PyTorch where torch is installed; `weights` is
    what the models' metadata says of their origin; `sample_rate_hz` is for a codec whose arguments
    name none.

    Raises InputError for checkpoints that cannot be used (nothing is written), and when `out`
    cannot be written.
    """
    sources, ignored = find_sources(inputs, progress, bases, sample_rate_hz)
    require_fit(sources)
    models = _build(sources, weights)
    accounts = tuple(open_account(s.checkpoint.path.name, s.ledger) for s in sources)
    _check_data([out / f"{FILE_STEMS[role]}.onnx" for role in models])
    before = {path.name for path in out.glob("*.onnx")}
    with staging_beside(out / "import") as staging:
        for role, model in models.items():
            _write(model, staging / f"{FILE_STEMS[role]}.onnx", progress)
        for source in sources:
            require_read(source.checkpoint.path.name, source.ledger)
        recorded = None if golden is None else verify_golden(staging, golden)
        eager = check_with_torch(staging, sources) if self_check and has_torch() else None
        with written(out):
            _publish(staging, out)
    imported = tuple(_describe(role, model, out, sources) for role, model in models.items())
    warnings = (
        *(note for source in sources for note in source.notes),
        *(w for role, model in models.items() for w in _warnings(role, model)),
        *_of_before(out, before, {model.path.name for model in imported}),
    )
    result = ImportResult(imported, accounts, ignored, warnings, recorded, eager, out / RECORD_NAME)
    write_record(_record(result, sources), IMPORT, result.record)
    return result


def _of_before(out: Path, before: set[str], written_now: set[str]) -> Iterator[str]:
    """What became of the models that the folder held already."""
    if replaced := sorted(before & written_now):
        yield f"{out}: replaced models that had been there: {', '.join(replaced)}"
    if left := sorted(before - written_now):
        yield f"{out}: holds models that are not of this import: {', '.join(left)}"


def _build(sources: Sequence[Source], weights: str) -> dict[Role, ir.Model]:
    """The graphs in the order in which a sound passes; no weight is read yet."""
    models: dict[Role, ir.Model] = {}
    codec = next((s for s in sources if isinstance(s.config, CodecConfig)), None)
    if codec is not None and isinstance(codec.config, CodecConfig):
        models[Role.CODEC_ENCODER] = build_encoder(codec.config, codec.ledger, weights)
        models[Role.CODEC_DECODER] = build_decoder(codec.config, codec.ledger, weights)
    for source in sources:
        if isinstance(source.config, TransformerConfig) and codec is not None:
            models[source.config.role] = build_transformer(
                source.config, source.ledger, codec.ledger, weights
            )
    if codec is not None and isinstance(codec.config, CodecConfig):
        configs = (s.config for s in sources)
        name_family(
            models,
            family_of(codec.config, [c for c in configs if isinstance(c, TransformerConfig)]),
        )
    for source in sources:
        if isinstance(source.config, WavebeatConfig):
            models[Role.BEATS] = build_wavebeat(source.config, source.ledger, weights)
    order = list(FILE_STEMS)
    return {role: models[role] for role in sorted(models, key=order.index)}


def _write(model: ir.Model, path: Path, progress: StepProgress | None) -> None:
    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total, f"write {path.name}")

    report(0, len(model.graph.initializers))
    try:
        save_model(model, path, progress=report)
    except ir.serde.SerdeError as error:
        # The serializer wraps what reading a weight raised: the user's line is inside.
        raise _input_error(error) or error from error
    report(len(model.graph.initializers), len(model.graph.initializers))


def _input_error(error: BaseException) -> InputError | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__
    return cause


def _check_data(paths: Sequence[Path]) -> None:
    """Raise InputError where a data file would take the place of one that is no model's of ours."""
    for path in paths:
        data = path.with_name(f"{path.name}.data")
        if data.exists() and data not in owned_data(path):
            raise InputError(f"{data}: is no {path.name}'s; move it, or choose another output")


def _publish(staging: Path, out: Path) -> None:
    """Move the written files into the folder; data files first, since models name them."""
    written_now = sorted(staging.iterdir(), key=lambda p: p.suffix == ".onnx")
    models = [out / path.name for path in written_now if path.suffix == ".onnx"]
    stale = {data for model in models for data in owned_data(model)}
    for path in written_now:
        path.replace(out / path.name)
    for data in stale - {out / path.name for path in written_now}:
        data.unlink(missing_ok=True)


def _describe(role: Role, model: ir.Model, out: Path, sources: Sequence[Source]) -> ImportedModel:
    path = out / f"{FILE_STEMS[role]}.onnx"
    data = out / f"{path.name}.data"
    weights = [v.const_value for v in model.graph.initializers.values()]
    return ImportedModel(
        path=path,
        role=role,
        sources=tuple(
            path.name
            for s in sources
            if s.serves(role)
            for path in (s.checkpoint.path, *s.checkpoint.other_files)
        ),
        n_parameters=sum(w.size for w in weights if w is not None and w.dtype == ir.DataType.FLOAT),
        bytes=path.stat().st_size + (data.stat().st_size if data.exists() else 0),
    )


def _warnings(role: Role, model: ir.Model) -> list[str]:
    found = spec_of(model).role
    if found is role:
        return []
    return [
        f"{FILE_STEMS[role]}.onnx: takes another number of codebooks than its codec and the other "
        f"stage, so other commands treat it as {found.value}"
    ]


def _record(result: ImportResult, sources: Sequence[Source]) -> ImportRecord:
    return ImportRecord(
        sources=tuple(_source_record(source.checkpoint, source.role) for source in sources),
        models=tuple(
            WrittenModel(m.path.name, m.role.value, m.sources, m.n_parameters, m.bytes)
            for m in result.models
        ),
        ignored=result.ignored,
        warnings=result.warnings,
        golden=_verification_record(result.golden),
        eager=_verification_record(result.eager),
        accounts=tuple(account_record(account) for account in result.accounts),
    )


def _verification_record(verification: Verification | None) -> VerificationRecord | None:
    if verification is None:
        return None
    figures = (
        FigureRecord(
            key=f.key,
            model=f.model,
            measure=f.measure,
            value=f.value if math.isfinite(f.value) else None,
            limit=f.limit,
            passed=f.passed,
        )
        for f in verification.figures
    )
    return VerificationRecord(verification.against, tuple(figures))


def _source_record(checkpoint: Checkpoint, role: str) -> SourceRecord:
    return SourceRecord(
        file=checkpoint.path.name,
        role=role,
        form=checkpoint.form,
        bytes=checkpoint.path.stat().st_size,
        sha256=sha256_of((checkpoint.path,)),
        other_files=tuple(
            SourceFile(path.name, path.stat().st_size, sha256_of((path,)))
            for path in checkpoint.other_files
        ),
        # JSON has no NaN or infinity: such an argument is kept as the word for it.
        kwargs={
            name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in checkpoint.kwargs.items()
        },
    )
