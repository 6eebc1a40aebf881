"""What `run --song` found beside each variant's own share."""

from __future__ import annotations

from dataclasses import dataclass, field

from vampnet_models.records.accuracy import Figure
from vampnet_models.text import signed


@dataclass(frozen=True)
class SongPrompts:
    """What was played from, of one length.

    frames: of each prompt.
    n_prompts: how many there are; a piece that comes again has another seed.
    n_pieces, n_recordings: that they are cut from.
    """

    frames: int
    n_prompts: int
    n_pieces: int
    n_recordings: int


_MOST_NATS = 0.05
"""Beyond what other seeds change: pieces that stay within it could be those of another seed."""


@dataclass(frozen=True)
class SetSong:
    """What a set plays, beside FP32, from the same recordings.

    n_pieces, frames: how many pieces each side plays with each of two seeds, and how long.
    same_song: the share of all final tokens that are those of FP32 with the same seed, prompts
        included; each chain hears by its own encoder.
    nats: by stage, how much less likely FP32 finds the set's pieces than its own with the same
        seeds, nats per masked token; below zero, more likely. Its floor is that of other seeds.
    seed_nats: the same of FP32's own pieces, with other seeds against the first ones.
    log_mel_mmd: squared maximum mean discrepancy of log-mel statistics, of the set's sound to that
        of FP32 with other seeds. Its floor is FP32's own.
    seed_log_mel_mmd: that of FP32's own.
    note: why nothing was played; None, the default, where it was.
    """

    n_pieces: int = 0
    frames: int = 0
    same_song: Figure | None = None
    nats: dict[str, Figure] = field(default_factory=dict)
    seed_nats: dict[str, Figure] = field(default_factory=dict)
    log_mel_mmd: Figure | None = None
    seed_log_mel_mmd: Figure | None = None
    note: str | None = None

    @property
    def allowed_nats(self) -> dict[str, float]:
        """By stage, how far the interval of `nats` may reach: what other seeds give, and 0.05."""
        return {stage: _reach(found) + _MOST_NATS for stage, found in self.seed_nats.items()}

    @property
    def is_as_likely(self) -> bool | None:
        """Whether the pieces could be FP32's of other seeds; None where one cannot tell.

        Both ways: a set that collapses to a few tokens makes pieces that are likelier than music.
        """
        if not self.nats or not all(found.can_tell for found in self.nats.values()):
            return None
        allowed = self.allowed_nats
        return all(_reach(found) <= allowed[stage] for stage, found in self.nats.items())

    @property
    def sounds_alike(self) -> bool | None:
        """Whether it sounds no farther from FP32 than other seeds; None where one cannot tell."""
        found, seeds = self.log_mel_mmd, self.seed_log_mel_mmd
        if found is None or seeds is None or not found.can_tell:
            return None
        return found.low is not None and seeds.high is not None and found.low <= seeds.high

    @property
    def told(self) -> str:
        """What that says, in a sentence."""
        if self.note is not None:
            return self.note
        if self.is_as_likely is None:
            few = next((each.cannot_tell for each in self.nats.values()), "cannot tell")
            return f"whether pieces of this set are as likely under FP32 as its own: {few}"
        if not self.is_as_likely:
            stage, worst = max(
                self.nats.items(), key=lambda each: _reach(each[1]) - self.allowed_nats[each[0]]
            )
            how = "less" if (worst.value or 0) > 0 else "more"
            return (
                f"pieces of this set are {how} likely under FP32 than its own of other seeds: "
                f"{signed(worst.value)} nats per token of {stage}, up to "
                f"{self.allowed_nats[stage]:.3f} would be another seed's"
            )
        likely = "pieces of this set are as likely under FP32 as its own of other seeds"
        if self.sounds_alike:
            return f"{likely}, and sound no farther from it"
        return f"{likely}, but sound farther from it"


def _reach(found: Figure) -> float:
    """How far an interval lies from zero, at most."""
    return max((abs(end) for end in (found.low, found.high) if end is not None), default=0.0)
