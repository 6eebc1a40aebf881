"""What the runtime makes of a variant: checked and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from optimize.variant import read_record, record_path
from vampnet_models.errors import WorkbenchError, contained
from vampnet_models.onnxfile.artifact import Artifact, open_artifact
from vampnet_models.onnxfile.session import Feeds
from vampnet_models.progress import Reporter
from vampnet_models.records.results import Variant
from vampnet_models.records.runtime_facts import RuntimeFacts
from vampnet_models.records.variant import VariantRecord


@dataclass(frozen=True)
class Checked:
    """A model, its record where it is a variant, and what the runtime made of it."""

    facts: RuntimeFacts
    record: VariantRecord | None
    missed: str | None


def check(artifact: Artifact, feeds: Feeds | None = None) -> Checked:
    """Read the runtime's graph of a model back; a variant's record is completed and judged.

    `feeds` give the shapes of a model of no known role. Raises InputError when that cannot be
    done: a damaged record, a folder that cannot be written.
    """
    # Imported by who asks: it brings every recipe, and who only looks at a model needs none.
    from optimize.runtime.check import missed_promise, read_back, with_runtime

    shapes = None if feeds is None else {name: tuple(v.shape) for name, v in feeds.items()}
    record = record_beside(artifact.path)
    if record is None:
        return Checked(read_back(artifact, {}, shapes), None, None)
    record = with_runtime(artifact, record, shapes)
    assert record.runtime is not None
    return Checked(record.runtime, record, missed_promise(record))


def check_variants(
    variants: Sequence[Variant], root: Path, feeds: Feeds, reporter: Reporter
) -> tuple[Variant, ...]:
    """A run's variants with completed records; one that breaks its promise is `missed`.

    A variant whose graph cannot be read back stays not checked, with a warning.
    """
    return tuple(
        _checked(variant, root / variant.path, feeds, reporter)
        if variant.usable and variant.path is not None
        else variant
        for variant in variants
    )


def _checked(variant: Variant, path: Path, feeds: Feeds, reporter: Reporter) -> Variant:
    try:
        with contained(), reporter.task(f"{path.stem}: reading back {variant.recipe}"):
            found = check(open_artifact(path), feeds)
    except WorkbenchError as error:
        reporter.warn(f"{path.stem}: {variant.recipe}: the runtime was not checked: {error}")
        return variant
    variant = replace(variant, record=found.record)
    if found.missed is None:
        return variant
    reporter.warn(f"{path.stem}: {found.missed}")
    reason = "; ".join(filter(None, (variant.reason, found.missed)))
    return replace(variant, status="missed", reason=reason)


def record_beside(model: Path) -> VariantRecord | None:
    """The record of a variant; None where none lies beside the model."""
    path = record_path(model)
    return read_record(path) if path.is_file() else None


def warn_not_probed(path: Path, record: VariantRecord, reporter: Reporter) -> None:
    """A warning where no feed went through the variant, with the reason."""
    if record.probe is not None and record.probe.not_probed is not None:
        reporter.warn(f"{path}: not probed: {record.probe.not_probed}")
