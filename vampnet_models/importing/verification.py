"""Figures of a comparison between imported models and a truth from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vampnet_models.errors import InputError, PromiseMissed, reason_of
from vampnet_models.onnxfile.session import Array, open_session


@dataclass(frozen=True)
class Figure:
    """One comparison. `value` is a share of equal codes, or a largest absolute difference."""

    key: str
    model: str
    measure: str
    value: float
    limit: float
    passed: bool

    def line(self) -> str:
        """The figure in words."""
        verdict = "kept" if self.passed else "MISSED"
        if self.measure == "codes equal":
            value, limit = f"{100 * self.value:.4g} %", f"at least {100 * self.limit:g} %"
        else:
            value, limit = f"{self.value:.3g}", f"at most {self.limit:.3g}"
        return f"{self.model} {self.key}: {self.measure} {value} ({limit}: {verdict})"


@dataclass(frozen=True)
class Verification:
    """All comparisons with one truth; `against` names it."""

    against: str
    figures: tuple[Figure, ...]

    def require(self) -> None:
        """Raise PromiseMissed that names every figure outside its limit."""
        missed = [figure.line() for figure in self.figures if not figure.passed]
        if missed:
            raise PromiseMissed(f"{self.against}: {'; '.join(missed)}")


def codes_figure(key: str, path: Path, found: Array, expected: Array, limit: float = 1.0) -> Figure:
    """The share of equal codes; none when the shapes differ."""
    same = float(np.mean(found == expected)) if found.shape == expected.shape else 0.0
    return Figure(key, path.name, "codes equal", same, limit, same >= limit)


def error_figure(key: str, path: Path, found: Array, expected: Array, limit: float) -> Figure:
    """The largest absolute difference; infinite when the shapes differ."""
    error = float("inf")
    if found.shape == expected.shape:
        error = float(np.max(np.abs(found - expected)))
    return Figure(key, path.name, "largest difference", error, limit, error <= limit)


def first_output(path: Path, feeds: Mapping[str, Array], source: str) -> Array:
    """Run a model once. Raises InputError when the feeds, which `source` names, do not fit."""
    session = open_session(path)
    try:
        return session.run(feeds, session.output_names[:1])[session.output_names[0]]
    except Exception as error:
        # The binding raises plain Exceptions of many classes for feeds of a wrong shape or type.
        raise InputError(f"{source} does not fit {path.name}: {reason_of(error, 200)}") from error
