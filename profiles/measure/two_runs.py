"""One variant in two runs: what its times say, once the machine's own change is taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiles.measure.stats import (
    OTHER_RUN_MARGIN,
    Ratio,
    Verdict,
    levelled_ratio,
    unpaired_ratio,
    verdict,
)

_AGAIN = "measure both again, in one run or one after the other"


@dataclass(frozen=True)
class Times:
    """The timed runs of one variant, and the yardstick's of the same rounds (empty: unknown)."""

    samples_s: Sequence[float]
    yardstick_s: Sequence[float]
    noisy: bool


@dataclass(frozen=True)
class Shift:
    """Time now over time then.

    `ratio` is as measured, `machine` the yardstick's, and `levelled` the first with the second
    taken out; both are None where a run has no yardstick.
    """

    ratio: Ratio
    machine: Ratio | None
    levelled: Ratio | None
    verdict: Verdict
    warnings: tuple[str, ...]


def shift_of(then: Times, now: Times) -> Shift:
    """Judge two runs of one variant.

    Faster or slower is said where the times as measured and the levelled ones both say it: a
    yardstick follows the machine, but not every model follows it as far. Noise on one side
    leaves nothing to say. ValueError when a side has no samples.
    """
    ratio = unpaired_ratio(then.samples_s, now.samples_s)
    warnings = [
        f"the {name} one was noisy: measure it again when idle"
        for name, side in (("old", then), ("new", now))
        if side.noisy
    ]
    machine = levelled = None
    if all(len(s.yardstick_s) == len(s.samples_s) for s in (then, now)):
        machine = unpaired_ratio(then.yardstick_s, now.yardstick_s)
        levelled = levelled_ratio(
            (then.samples_s, then.yardstick_s), (now.samples_s, now.yardstick_s)
        )
        if verdict(machine, OTHER_RUN_MARGIN) is not Verdict.NO_DIFFERENCE:
            warnings.append(
                f"the machine itself took {machine.value:.2f} times as long as then for the same "
                f"work: smaller differences of the variant cannot be seen; {_AGAIN}"
            )
    else:
        warnings.append(
            "a run without a yardstick: a faster or slower machine looks like a faster or slower "
            f"variant; {_AGAIN}"
        )
    return Shift(ratio, machine, levelled, _judge(then, now, ratio, levelled), tuple(warnings))


def _judge(then: Times, now: Times, ratio: Ratio, levelled: Ratio | None) -> Verdict:
    if then.noisy or now.noisy:
        return Verdict.TOO_NOISY
    said = {verdict(each, OTHER_RUN_MARGIN) for each in (ratio, levelled) if each is not None}
    return said.pop() if len(said) == 1 else Verdict.NO_DIFFERENCE
