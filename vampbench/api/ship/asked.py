"""What a caller asks of sets: a grade, or bounds in its place."""

from __future__ import annotations

from optimize.truth.grades import Criterion, criterion_of
from optimize.truth.status import Bounds
from vampbench.api.bounds import check_within


def as_criterion(
    grade: str | None = None,
    min_agreement: float | None = None,
    min_sampled: float | None = None,
    max_cost: float | None = None,
    max_cost_db: float | None = None,
) -> Criterion:
    """The criterion of these. Raises InputError for what is out of bounds or contradicts itself."""
    check_within("min_agreement", min_agreement, 0, 1)
    check_within("min_sampled", min_sampled, 0, 1)
    check_within("max_cost", max_cost, 0)
    check_within("max_cost_db", max_cost_db, 0)
    return criterion_of(grade, Bounds(min_agreement, min_sampled, max_cost, max_cost_db))
