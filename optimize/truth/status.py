"""What a comparison means for a variant: its status, by what was asked for."""

from __future__ import annotations

from typing import Literal

from vampnet_models.records.accuracy import AccuracyReport, Figure


def status_of(
    accuracy: AccuracyReport, min_agreement: float | None, min_sampled: float | None = None
) -> tuple[Literal["ok", "missed", "failed"], str | None]:
    """The status of a variant that was compared, and the reason where it is not ok.

    `min_agreement` bounds the share itself; `min_sampled` the lower end of the interval of sampled
    agreement, which must be able to tell.
    """
    if accuracy.nonfinite:
        return "failed", f"{accuracy.nonfinite} outputs are NaN or infinite"
    lost = [
        f"{output.name} is lost: an SQNR of {output.snr_db:.1f} dB is an error as large as the "
        "answer itself"
        for output in accuracy.per_output
        if output.is_lost
    ]
    if lost:
        return "missed", "; ".join(lost)
    agreement = accuracy.token_agreement
    if min_agreement is not None and agreement is not None and agreement < min_agreement:
        what = "share of beats" if accuracy.per_beat_kind else "token agreement"
        if len(accuracy.per_output) > 1:
            worst = min(
                accuracy.per_output, key=lambda o: 2 if o.agreement is None else o.agreement
            )
            what += f" of {worst.name}"
        reason = f"{what} {agreement:.4f} is below the {min_agreement:g} asked for"
        return "missed", reason
    too_little = _too_little_sampled(accuracy.sampled_agreement, min_sampled)
    return ("ok", None) if too_little is None else ("missed", too_little)


def _too_little_sampled(found: Figure | None, least: float | None) -> str | None:
    if least is None or found is None or found.value is None or found.low is None:
        return None
    if found.low >= least and found.can_tell:
        return None
    told = f"sampled agreement {found.value:.4f}"
    if found.value < least:
        return f"{told} is below the {least:g} asked for"
    if found.cannot_tell:
        return f"{told}: {found.cannot_tell}"
    return f"{told} may be {found.low:.4f}, below the {least:g} asked for"


def unbounded(
    accuracy: AccuracyReport, min_agreement: float | None, min_sampled: float | None = None
) -> str | None:
    """Why what was asked for bounds nothing here; None where it does, or nothing was asked for."""
    said = []
    if min_agreement is not None and accuracy.token_agreement is None:
        how, level_db = "SI-SDR", accuracy.si_sdr_db
        if level_db is None:
            how, level_db = "SQNR", accuracy.snr_db
        by = "" if level_db is None else f"; it is judged by its {how}, {level_db:.1f} dB"
        said.append(
            f"the least agreement {min_agreement:g} does not apply: no output is a token{by}"
        )
    if min_sampled is not None and accuracy.sampled_agreement is None:
        said.append(
            f"the least sampled agreement {min_sampled:g} does not apply: no token is drawn from "
            "logits"
        )
    return "; ".join(said) or None
