"""From positions that agree to the shares of a report."""

from __future__ import annotations

from typing import Any

from optimize.truth import agreement
from optimize.truth.agreement import Comparison, Share
from vampnet_models.records.accuracy import CodebookShare, RatioShare


def shares_of(
    rows: list[Comparison],
    floor_rows: list[Comparison],
    *,
    given: list[Share] | None = None,
    by_ratio: bool = False,
) -> dict[str, Any]:
    """The shares of an AccuracyReport, by its fields' names; at least one comparison is needed."""
    whole = agreement.total(rows)
    codebooks = zip(agreement.per_codebook(rows), agreement.per_codebook(floor_rows), strict=True)
    intervals = agreement.codebook_intervals(rows)
    strata, floors = agreement.per_stratum(rows), agreement.per_stratum(floor_rows)
    return {
        "token_agreement": whole.value,
        "floor": agreement.total(floor_rows).value,
        "interval": agreement.interval(rows),
        "n_positions": whole.n_positions,
        "per_codebook": tuple(
            CodebookShare(
                i,
                s.value,
                f.value,
                given[i].value if given else None,
                s.n_positions,
                intervals[i],
            )
            for i, (s, f) in enumerate(codebooks)
            if s.n_positions
        ),
        "per_mask_ratio": tuple(
            RatioShare((s + 1) / agreement.RATIO_BINS, v.value, floors[s].value, v.n_positions)
            for s, v in strata.items()
            if by_ratio
        ),
    }
