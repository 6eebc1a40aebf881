"""What a comparison means for a variant: its status, by what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vampnet_models.records.accuracy import AccuracyReport, Figure


@dataclass(frozen=True)
class Bounds:
    """What a user asks of variants; what is None, as all is by default, bounds nothing.

    min_agreement: least share of equal tokens, 0 to 1.
    min_sampled: least lower end of a transformer's sampled agreement, 0 to 1.
    max_cost_nats: most upper end of a transformer's cost, nats per token.
    max_cost_db: most upper end of an encoder's or decoder's cost, dB of log-mel distance.
    """

    min_agreement: float | None = None
    min_sampled: float | None = None
    max_cost_nats: float | None = None
    max_cost_db: float | None = None


NO_BOUNDS = Bounds()


def status_of(
    accuracy: AccuracyReport, bounds: Bounds = NO_BOUNDS
) -> tuple[Literal["ok", "missed", "failed"], str | None]:
    """The status of a variant that was compared, and the reason where it is not ok.

    What is bounded by the end of an interval must be able to tell.
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
    agreement, min_agreement = accuracy.token_agreement, bounds.min_agreement
    if min_agreement is not None and agreement is not None and agreement < min_agreement:
        what = "share of beats" if accuracy.per_beat_kind else "token agreement"
        if len(accuracy.per_output) > 1:
            worst = min(
                accuracy.per_output, key=lambda o: 2 if o.agreement is None else o.agreement
            )
            what += f" of {worst.name}"
        reason = f"{what} {agreement:.4f} is below the {min_agreement:g} asked for"
        return "missed", reason
    missed = (
        _too_little_sampled(accuracy.sampled_agreement, bounds.min_sampled),
        _too_dear(accuracy.cost_nats, bounds.max_cost_nats, "nats per token"),
        _too_dear(accuracy.cost_log_mel_db, bounds.max_cost_db, "dB log-mel"),
    )
    reason = "; ".join(filter(None, missed))
    return ("missed", reason) if reason else ("ok", None)


def _too_little_sampled(found: Figure | None, least: float | None) -> str | None:
    if least is None or found is None or found.value is None or found.low is None:
        return None
    if found.low >= least and found.can_tell:
        return None
    told = f"sampled agreement {found.value:.4f}"
    if found.value < least:
        return f"{told} is below the {least:g} asked for"
    if found.cannot_tell:
        return f"{told} is not shown to reach the {least:g} asked for: {_too_few(found)}"
    return f"{told} may be {found.low:.4f}, below the {least:g} asked for"


def _too_dear(found: Figure | None, most: float | None, unit: str) -> str | None:
    if most is None or found is None or found.value is None or found.high is None:
        return None
    if found.high <= most and found.can_tell:
        return None
    told = f"cost {found.value:.4f} {unit}"
    if found.value > most:
        return f"{told} is above the {most:g} asked for"
    if found.cannot_tell:
        return f"{told} is not shown to stay within the {most:g} asked for: {_too_few(found)}"
    return f"{told} may be {found.high:.4f}, above the {most:g} asked for"


def _too_few(found: Figure) -> str:
    return (found.cannot_tell or "").removeprefix("cannot tell: ")


def unbounded(accuracy: AccuracyReport, bounds: Bounds) -> str | None:
    """Why what was asked for bounds nothing here; None where it does, or nothing was asked for."""
    said = []
    if bounds.min_agreement is not None and accuracy.token_agreement is None:
        how, level_db = "SI-SDR", accuracy.si_sdr_db
        if level_db is None:
            how, level_db = "SQNR", accuracy.snr_db
        by = "" if level_db is None else f"; it is judged by its {how}, {level_db:.1f} dB"
        said.append(
            f"the least agreement {bounds.min_agreement:g} does not apply: no output is a token{by}"
        )
    if bounds.min_sampled is not None and accuracy.sampled_agreement is None:
        said.append(
            f"the least sampled agreement {bounds.min_sampled:g} does not apply: no token is drawn "
            "from logits"
        )
    if accuracy.cost is None:
        asked = ((bounds.max_cost_nats, "nats per token"), (bounds.max_cost_db, "dB log-mel"))
        said += [
            f"the most cost {most:g} {unit} does not apply: no cost is known"
            for most, unit in asked
            if most is not None
        ]
    return "; ".join(said) or None
