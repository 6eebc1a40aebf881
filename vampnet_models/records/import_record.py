"""The contents of import.json: which checkpoints became which models, and every tensor's fate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vampnet_models.checkpoints.tensors import LedgerRow


@dataclass(frozen=True)
class SourceFile:
    """A file that belongs to a checkpoint, such as its LoRA."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SourceRecord:
    """A checkpoint that was read.

    role: what its content says it is; `form` is how it was saved.
    other_files: that were read with it.
    kwargs: the arguments of its network, as the checkpoint holds them.
    """

    file: str
    role: str
    form: str
    bytes: int
    sha256: str
    other_files: tuple[SourceFile, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class WrittenModel:
    """A model that was written; `sources` are the files that its weights come from."""

    path: str
    role: str
    sources: tuple[str, ...]
    n_parameters: int
    bytes: int


@dataclass(frozen=True)
class Ignored:
    """A file of a source folder that was left alone."""

    name: str
    reason: str


@dataclass(frozen=True)
class FigureRecord:
    """One comparison with a truth from outside.

    value: a share of equal codes (0 to 1), or a largest absolute difference; None where the shapes
        differ.
    """

    key: str
    model: str
    measure: str
    value: float | None
    limit: float
    passed: bool


@dataclass(frozen=True)
class VerificationRecord:
    """All comparisons with one truth; `against` names it."""

    against: str
    figures: tuple[FigureRecord, ...]


@dataclass(frozen=True)
class AccountRecord:
    """Where the tensors of one checkpoint went: how many, and how many values, by fate."""

    source: str
    tensors: dict[str, int]
    parameters: dict[str, int]
    rows: tuple[LedgerRow, ...]


@dataclass(frozen=True)
class ImportRecord:
    """All of an import.

    golden: the comparison with golden answers, eager: with PyTorch; None where it was not made.
    """

    sources: tuple[SourceRecord, ...]
    models: tuple[WrittenModel, ...]
    ignored: tuple[Ignored, ...]
    warnings: tuple[str, ...]
    golden: VerificationRecord | None
    eager: VerificationRecord | None
    accounts: tuple[AccountRecord, ...]
